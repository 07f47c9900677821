package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// who is the machine's name in the trace: a copy of n2 is n2'.
func (n *node) who() string {
	if n.original != nil {
		return n.name + "'"
	}
	return n.name
}

// machines are all that run, copies too.
func (w *World) machines() []*node {
	if len(w.clones) == 0 {
		return w.nodes
	}
	return slices.Concat(w.nodes, w.clones)
}

// clone boots a second machine with a copy of this one's disk, for a while: somebody reads the event DuplicateIdentity,
// and switches it off.
func (n *node) clone(d time.Duration) {
	w := n.w
	if n.gone || len(w.copiesOf(n)) > 0 {
		return
	}
	c := w.newNode(n.name, w.newMachine())
	c.original, c.keys, c.boots = n, n.keys.Copy(fmt.Sprintf("copy of %s at %s", n.name, w.now)), 1000
	c.machine.id = c.who()
	c.newTicker()
	disk := agentDisk{
		runs: n.disk.runs, position: n.disk.position, digest: n.disk.digest, content: n.disk.content, epoch: n.disk.epoch,
		records: maps.Clone(n.disk.records),
	}
	c.disk = &disk
	c.book = book{
		listed: maps.Clone(n.book.listed), allowed: maps.Clone(n.book.allowed), dropped: maps.Clone(n.book.dropped),
		told: maps.Clone(n.book.told), position: n.book.position,
	}
	w.log(n.name, "CLONED: a machine with a copy of its disk boots, for %s", d)
	w.clones = append(w.clones, c)
	n.cloned = w.now + d
	c.start()
	w.after(d, c.switchOff)
}

// switchOff takes a copy away for good.
func (c *node) switchOff() {
	w, n := c.w, c.original
	w.log(c.who(), "SWITCHED OFF")
	c.kill(w.between(5*time.Second, 2*time.Minute))
	c.ends++
	w.clones = slices.DeleteFunc(w.clones, func(other *node) bool { return other == c })
	n.before = append(n.before, c.keys.Ever()...)
	n.cloned = w.now
	w.after(5*time.Second, n.reclaim)
}

// reclaim is what somebody does whose machine is shut out because a copy of it has got another key: the Node is deleted
// and the machine joins again.
func (n *node) reclaim() {
	w := n.w
	if n.gone || len(w.clones) > 0 && slices.ContainsFunc(w.clones, func(c *node) bool { return c.original == n }) {
		return
	}
	if w.master.down() || n.agent == nil {
		w.after(5*time.Second, n.reclaim)
		return
	}
	rec, _ := w.master.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: n.name})
	key, err := resource.DecodeNodeKey(rec.Value)
	if mine := n.keys.Public(); err == nil && (key.Key == mine || key.Next == mine) {
		return
	}
	w.log(n.name, "is SHUT OUT by its copy's key")
	w.user.Remove(n.name)
	removed := n.keys
	w.after(w.between(time.Second, 10*time.Second), func() { n.rejoin(removed) })
}

// copiesOf are the ends of the keys that the copies of a node have.
func (w *World) copiesOf(n *node) (out []*seal.Box) {
	for _, c := range w.clones {
		if c.original == n {
			out = append(out, c.keys.Ever()...)
		}
	}
	return out
}

// rename gives the machine another name: its agent's data are deleted and it joins again. What ran goes on until the
// new agent is told what shall; somebody deletes the Node of the old name.
func (n *node) rename() {
	w := n.w
	if n.gone || n.agent == nil || len(w.copiesOf(n)) > 0 {
		return
	}
	w.renamed++
	m := w.newNode(fmt.Sprintf("%s.%d", n.base(), w.renamed), n.machine)
	w.log(n.name, "RENAMED: it joins again as %s", m.name)
	n.kill(0)
	n.ends++ // nobody starts that agent again
	m.engine, m.nets, m.boots, m.alias = n.engine, n.nets, n.boots, n.base()
	m.guarded, n.guarded = n.guarded, guarded{}
	m.ticker.wake()
	m.health, m.book.dropped = n.health, n.book.dropped
	n.gone = true
	n.newEngine()
	n.nets = map[string]string{}
	w.former = append(w.former, n)
	w.nodes[slices.Index(w.nodes, n)] = m
	w.byName[m.name] = m
	m.enter()
	w.after(w.between(20*time.Second, 2*time.Minute), n.forget)
}

// base is the machine's first name.
func (n *node) base() string {
	if n.alias != "" {
		return n.alias
	}
	return n.name
}

// enter lets a machine join as soon as there is a master, and starts its agent.
func (n *node) enter() {
	if n.w.master.down() || n.join(&client{master: n.w.master, who: "enroll"}) != nil {
		n.w.after(time.Second, n.enter)
		return
	}
	if !n.off {
		n.start()
	}
}

// forget deletes the Node of a name that no machine has any more.
func (n *node) forget() {
	w := n.w
	if !w.master.down() {
		if _, ok := w.master.store.View().Get(resource.Nodes.Key("", n.name)); !ok {
			return
		}
		w.user.Remove(n.name)
	}
	w.after(5*time.Second, n.forget)
}

// amissOfNames says which Nodes are left that no machine is.
func (w *World) amissOfNames() (out []string) {
	for _, n := range w.former {
		if _, ok := w.master.store.View().Get(resource.Nodes.Key("", n.name)); ok {
			out = append(out, n.name+" is still a Node, and no machine has that name")
		}
	}
	return out
}
