package sim

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// backup is what was on the master's disk at some time, and what its user had asked for.
type backup struct {
	at       time.Duration
	epoch    change.Epoch
	rev      change.Rev
	records  map[change.Key]change.Record
	promised map[change.Key][]byte
	asked    map[string]int32
	bare     map[string]bool
	ordered  []string
}

const (
	mostBackups  = 8
	mostRestores = 3 // a node that has seen a higher epoch is believed four times, and then once in 15 minutes
)

// backUp takes a backup, and another one later. Big worlds have none: they are about numbers.
func (w *World) backUp() {
	if w.calm || w.options.Nodes > 4 || w.options.Local {
		return
	}
	d, u := w.disk, w.user
	w.backups = append(w.backups, backup{
		at: w.now, epoch: d.epoch, rev: d.rev, records: maps.Clone(d.records), promised: maps.Clone(d.promised),
		asked: maps.Clone(u.asked), bare: maps.Clone(u.bare), ordered: slices.Clone(u.ordered),
	})
	w.backups = w.backups[max(0, len(w.backups)-mostBackups):]
	w.after(w.between(5*time.Second, time.Minute), w.backUp)
}

// restore is what a person does whose master has lost its disk: what was acknowledged since a backup is lost.
func (w *World) restore(down time.Duration) {
	if len(w.backups) == 0 || w.restores == mostRestores || w.master.dead {
		return
	}
	i := w.random.Intn(len(w.backups))
	b := w.backups[i]
	w.backups = w.backups[:i+1]
	w.restores++
	w.log("user", "RESTORES the master from a backup that is %s old", w.now-b.at)
	w.master.crash(down, w.chance(0.3))
	if w.chance(0.3) { // what took the master's disk may have taken more
		for _, n := range w.nodes {
			n.powerCut(w.between(time.Second, down+10*time.Second), false, false)
		}
	}
	w.cutSome()
	d, u := w.disk, w.user
	d.epoch, d.rev, d.records, d.promised = b.epoch, b.rev, maps.Clone(b.records), maps.Clone(b.promised)
	u.asked, u.bare, u.ordered = maps.Clone(b.asked), maps.Clone(b.bare), slices.Clone(b.ordered)
	w.restoredAt = w.now + down
	w.after(down+time.Second, func() {
		for _, n := range w.nodes { // its key may be one that the backup does not know
			n.reclaim()
		}
		for _, n := range w.former {
			n.forget()
		}
	})
}

// advance is what the wiring gives nodelink: the new epoch is on the disk before anything is said in it.
func (m *master) advance(beyond change.Epoch) error {
	if m.dead {
		return errCrashed
	}
	if err := m.store.Advance(beyond); err != nil {
		return err
	}
	m.w.disk.epoch = m.store.Epoch()
	m.w.log("master", "begins epoch %s", m.store.Epoch())
	return nil
}

// outranked reports whether a node has seen a higher epoch than the master is in: it does not obey yet.
func (w *World) outranked() bool {
	epoch := w.master.store.Epoch()
	return slices.ContainsFunc(w.machines(), func(n *node) bool { return epoch.Less(change.Epoch(n.disk.epoch)) })
}

// Fence says that a node is off, as edgectl fence does: what it holds may run elsewhere.
func (u *user) Fence(node string) {
	w := u.w
	if w.master.down() {
		return
	}
	if changes := resource.Fence(w.master.store.View(), node); len(changes) > 0 {
		w.log("user", "FENCES %s: %d slots", node, len(changes))
		_, _ = (&client{master: w.master, who: "user"}).Commit(context.Background(), changes)
	}
}

// replace is a device that has died and is fenced, and another one that takes its place, with its name and its keys, but with
// nothing else of it.
func (n *node) replace(back time.Duration) {
	w := n.w
	if n.gone || len(w.copiesOf(n)) > 0 {
		return
	}
	w.log(n.name, "DIES; another device takes its place in %s", back)
	n.powerCut(back, true, true)
	ends := n.ends
	w.after(w.between(0, back/2), func() {
		if n.ends == ends && !n.gone {
			w.user.Fence(n.name)
		}
	})
}

// traces reports whether anything of a pod runs, or may come to run, on any machine.
func (w *World) traces(uid string) bool {
	return slices.ContainsFunc(w.machines(), func(n *node) bool {
		return n.containers()[uid] != nil || n.disk.records[uid] != nil
	})
}

// fenceGone is what the user does at the end about slots that are bound to devices that are no more, for nobody else can end
// them: a name that no machine has is fenced, and a machine that has joined anew is switched off for that.
func (w *World) fenceGone() {
	if w.master.down() || len(w.clones) > 0 {
		return
	}
	view := w.master.store.View()
	fenced := map[string]bool{}
	for rec := range view.List(resource.SlotKind, "") {
		s, err := resource.DecodeSlot(rec.Value)
		if err != nil || !s.Bound || fenced[s.Node] || w.traces(string(s.Pod)) {
			continue
		}
		if node, ok := view.Get(resource.Nodes.Key("", s.Node)); ok && w.nodeObject(node).UID == s.Holder {
			continue
		}
		fenced[s.Node] = true
		n := w.byName[s.Node]
		if n == nil || n.gone {
			w.user.Fence(s.Node)
			continue
		}
		n.powerCut(10*time.Second, false, false)
		w.after(time.Second, func() { w.user.Fence(n.name) })
	}
}

// slotsOf are the records of slots.
func slotsOf(s store.Store) (out []resource.Slot, keys []change.Key) {
	for rec := range s.View().List(resource.SlotKind, "") {
		if content, err := resource.DecodeSlot(rec.Value); err == nil {
			out, keys = append(out, content), append(keys, rec.Key)
		}
	}
	return out, keys
}

// amissOfSlots says where slots are taken that no pod needs, or a pod runs that has none.
func (w *World) amissOfSlots(pods []*corev1.Pod) (out []string) {
	say := func(text string) { out = append(out, text) }
	need := map[string]*corev1.Pod{}
	for _, p := range pods {
		if w.singles.pods[string(p.UID)] != nil && p.Spec.NodeName != "" && !resource.Ended(p) {
			need[string(p.UID)] = p
		}
	}
	view := w.master.store.View()
	slots, keys := slotsOf(w.master.store)
	for i, s := range slots {
		p := need[string(s.Pod)]
		delete(need, string(s.Pod))
		if p == nil {
			say("slot " + keys[i].Name + " is held by pod " + s.Name + " on " + s.Node + ", which needs none")
			continue
		}
		known := w.singles.pods[string(p.UID)]
		n := w.byName[p.Spec.NodeName]
		node, _ := view.Get(resource.Nodes.Key("", p.Spec.NodeName))
		switch {
		case resource.SlotOwner(keys[i]) != known.owner.name:
			say("pod " + p.Name + " holds slot " + keys[i].Name + ", which is another one's")
		case n == nil || !node.Exists() || s.Node != n.name || s.Holder != w.nodeObject(node).UID || s.Boot != n.bootID() && !s.Bound:
			say("slot " + keys[i].Name + " of pod " + p.Name + " is held by " + s.Node + ", boot " + s.Boot + ", which does not run it")
		case s.Bound != known.pinned:
			say("slot " + keys[i].Name + " is bound or not, and pod " + p.Name + " is not or is")
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(need)) {
		say("pod " + need[uid].Name + " runs and holds no slot")
	}
	return out
}
