package nodelink

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/resource"
)

// Keys are read again when the store's history was not enough. A node that was welcomed and has not proven itself yet
// keeps its challenge: it would echo it to nobody.
func TestKeysReadAgainLeaveWhoWasWelcomed(t *testing.T) {
	l := &Link{keys: map[string]*keys{}, nodes: map[string]*node{}, publish: map[string]bool{}, log: zerolog.Nop(), metrics: newMetrics(prometheus.NewRegistry()),
		permits: permit.NewBook(permit.Config{})}
	written := func(rev change.Rev, key byte) change.Record {
		return change.Record{Rev: rev, Value: resource.EncodeNodeKey(resource.NodeKey{Key: [32]byte{key}})}
	}
	l.observeKey("n1", written(1, 'a'))
	welcomed := l.node("n1")
	l.observeKey("n1", written(1, 'a'))
	if l.nodes["n1"] != welcomed {
		t.Error("the conversation is forgotten")
	}
	l.observeKey("n1", change.Record{})
	if l.nodes["n1"] != nil {
		t.Error("a node whose key is gone has a conversation")
	}
}
