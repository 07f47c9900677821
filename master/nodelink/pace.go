package nodelink

import (
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// paces knows which nodes have the settings of a metered link, by their label.
//
// A node learns its settings with the answer to its hello and with each desired state, of which they are a part. When
// the label comes, everybody waits longer at once. When it goes, the node is given the longer time until a heartbeat
// shows that it has applied a document which says so: until then it may still be slow. The record of what was heard
// of the node carries that to those who judge it.
type paces struct {
	base    message.Settings
	metered map[string]bool // their labels say so
	slow    map[string]bool // that were told so by this process, and may not know better
}

func newPaces(base message.Settings) paces {
	return paces{base: base, metered: map[string]bool{}, slow: map[string]bool{}}
}

// settings are what a node is to be told.
func (p *paces) settings(name string) message.Settings { return desired.Paced(p.base, p.metered[name]) }

// slowest are the settings that a node may still follow.
func (p *paces) slowest(name string) message.Settings {
	return desired.Paced(p.base, p.metered[name] || p.slow[name])
}

// known notes that a node knows that its link is not metered.
func (p *paces) known(name string) {
	if !p.metered[name] {
		delete(p.slow, name)
	}
}

// observePace notes what a Node's label says.
func (l *Link) observePace(name string, rec change.Record) {
	delete(l.paces.metered, name)
	if !rec.Exists() {
		delete(l.paces.slow, name)
		return
	}
	if meta, err := resource.Meta(rec.Value); err == nil && resource.Metered(meta.Labels) {
		l.paces.metered[name], l.paces.slow[name] = true, true
	}
}

func paced(d time.Duration, slow bool) time.Duration {
	if slow {
		return d * resource.MeteredPace
	}
	return d
}
