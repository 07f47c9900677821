package nodelink

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// seen collects what was heard of the nodes and says when to write it. Heartbeats wait a moment for each other,
// so that a thousand nodes cost a commit a second; a change that decides something does not wait.
type seen struct {
	interval time.Duration // between heartbeats
	gap      time.Duration // between commits

	nodes   map[string]resource.Seen
	changed map[string]bool
	urgent  bool
	written clock.Now
}

func newSeen(settings message.Settings) seen {
	return seen{
		interval: settings.Heartbeat(),
		gap:      min(time.Second, settings.Heartbeat()/4),
		nodes:    map[string]resource.Seen{},
		changed:  map[string]bool{},
	}
}

// heard notes that a node lives. It is urgent when nobody would have expected it.
func (s *seen) heard(now clock.Now, node string, slow bool, readings *message.Readings) {
	old, known := s.nodes[node]
	if !known || !old.Online || now.Boot-old.HeardBoot > paced(s.interval, old.Slow)*3/2 {
		s.urgent = true
	}
	next := resource.Seen{HeardBoot: now.Boot, HeardWall: now.Wall.UnixNano(), Online: true, Slow: slow, Readings: old.Readings}
	if readings != nil {
		next.Readings = *readings
	}
	s.set(node, next)
}

// offline notes that a node's connection ended without a word.
func (s *seen) offline(now clock.Now, node string) {
	old, known := s.nodes[node]
	if !known || !old.Online {
		return
	}
	old.Online, old.OfflineBoot = false, now.Boot
	s.urgent = true
	s.set(node, old)
}

func (s *seen) set(name string, next resource.Seen) { s.nodes[name], s.changed[name] = next, true }

// due is when the next commit is; Never while there is nothing to write.
func (s *seen) due() clock.Now {
	switch {
	case len(s.changed) == 0:
		return clock.Never
	case s.urgent:
		return clock.Now{}
	}
	return s.written.Add(s.gap)
}

// writeSeen commits what was heard, when it is due. A node without a Node object has no record.
func (l *Link) writeSeen(now clock.Now) {
	s := &l.seen
	if !now.Reached(s.due()) {
		return
	}
	view := l.config.Store.View()
	var changes []change.Change
	for _, name := range slices.Sorted(maps.Keys(s.changed)) {
		if _, exists := view.Get(resource.Nodes.Key("", name)); !exists && name != resource.LinkName {
			delete(s.changed, name)
			delete(s.nodes, name)
			continue
		}
		changes = append(changes, change.Change{
			Key:    seenKey(name),
			Base:   change.Any,
			Value:  resource.EncodeSeen(s.nodes[name]),
			Reason: "heard",
		})
	}
	s.written = now
	if len(changes) > 0 {
		if _, err := l.config.Store.Commit(context.Background(), changes); err != nil {
			l.log.Error().Err(err).Msg("what was heard of nodes not written") // again after the gap
			s.urgent = false
			return
		}
	}
	clear(s.changed)
	s.urgent = false
}

// forgetSeen deletes the records of nodes that are no more.
func (l *Link) forgetSeen(nodes ...string) {
	var changes []change.Change
	for _, node := range nodes {
		delete(l.seen.nodes, node)
		delete(l.seen.changed, node)
		changes = append(changes, change.Change{Key: seenKey(node), Base: change.Any, Reason: "the node is deleted"})
	}
	if len(changes) == 0 {
		return
	}
	if _, err := l.config.Store.Commit(context.Background(), changes); err != nil {
		l.log.Error().Err(err).Msg("records of deleted nodes not deleted")
	}
}

func seenKey(name string) change.Key { return change.Key{Kind: resource.SeenKind, Name: name} }
