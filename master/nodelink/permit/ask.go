package permit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Answer is what a node that asks gets.
type Answer struct {
	To Asker
	// Changes have to be in the store before the grant goes out; when they can't be written nothing does.
	Changes []change.Change
	Grant   message.Grant
	// Waits are the pods that the grant leaves out and whose reason has changed since the last answer.
	Waits []Wait
}

// Wait says why a pod may not run yet.
type Wait struct {
	Pod    change.Key
	UID    types.UID
	Reason string
}

// Ask takes in a heartbeat that asks for a permit, and says what the node may run. Sent has to follow when the
// answer has gone out.
func (b *Book) Ask(view change.View, now clock.Now, from Asker) Answer {
	if b.heard[from.Name] != from.Holder {
		b.Heard(now, from.Name, from.Holder)
	}
	n := b.nodes[from.Name]
	if n == nil || n.Boot != from.Boot || n.Holder != from.Holder {
		n = &node{}
		b.nodes[from.Name] = n
	}
	n.Asker, n.at = from, now
	return b.answer(view, now, n)
}

// Again is the nodes whose pods wait and that may be answered again, now that a slot may have become free: with the
// heartbeat that they sent last, as long as a good part of that is left.
func (b *Book) Again(now clock.Now) []string {
	if b.doubt.Boot != 0 && now.Reached(b.doubt) {
		b.doubt, b.freed = clock.Now{}, true
	}
	if !b.freed {
		return nil
	}
	b.freed = false
	var out []string
	for _, name := range slices.Sorted(maps.Keys(b.nodes)) {
		if n := b.nodes[name]; n.waits && now.Since(n.at) <= n.Lasts/2 {
			out = append(out, name)
		}
	}
	return out
}

// AnswerAgain is another answer to the heartbeat that a node sent last; false when it grants nothing new.
func (b *Book) AnswerAgain(view change.View, now clock.Now, name string) (Answer, bool) {
	n := b.nodes[name]
	if n == nil {
		return Answer{}, false
	}
	a := b.answer(view, now, n)
	for _, uid := range slices.Concat(a.Grant.Pods, a.Grant.Bound) {
		if !n.granted[types.UID(uid)] {
			return a, true
		}
	}
	return a, false
}

// answer says what a node may run. Slots that it gives away are taken in the view only once the changes are written.
func (b *Book) answer(view change.View, now clock.Now, n *node) Answer {
	a := Answer{To: n.Asker, Grant: message.Grant{Ask: n.Ask, Millis: uint32(n.Lasts.Milliseconds())}}
	taken := map[change.Key]bool{} // by this answer
	n.waits = false
	for _, uid := range slices.Sorted(maps.Keys(b.byNode[n.Name])) {
		p := b.pods[uid]
		write, why := b.decide(view, now, n, p, taken)
		if why != "" {
			n.waits = true
			if why != p.told {
				p.told = why
				a.Waits = append(a.Waits, Wait{Pod: p.key, UID: uid, Reason: why})
			}
			continue
		}
		if p.over || p.deleting && b.byPod[uid] == nil {
			continue // it needs none
		}
		p.told = ""
		if write != nil {
			a.Changes = append(a.Changes, *write)
			taken[write.Key] = true
		}
		if p.pinned {
			a.Grant.Bound = append(a.Grant.Bound, string(uid))
		} else {
			a.Grant.Pods = append(a.Grant.Pods, string(uid))
		}
	}
	return a
}

// decide says whether a pod may run on the node that asks: why not, or else what has to be written before.
func (b *Book) decide(view change.View, now clock.Now, n *node, p *pod, taken map[change.Key]bool) (write *change.Change, why string) {
	want := resource.Slot{
		Pod: p.uid, Name: p.key.Name, Node: n.Name, Holder: n.Holder, Boot: n.Boot,
		Millis: uint32(n.Lasts.Milliseconds()), Bound: p.pinned,
	}
	s := b.byPod[p.uid]
	switch {
	case p.over:
		return nil, ""
	case s != nil && s.Holder != n.Holder:
		if b.apart || !s.over(now) {
			return nil, fmt.Sprintf("a device that was node %s before has held its slot%s", s.Node, b.left(s))
		}
	case s != nil && s.Bound:
		return nil, "" // whatever the boot
	case s != nil && s.Boot != n.Boot:
		if !s.over(now) {
			return nil, "its node has rebooted, and what was permitted before has not surely ended" + b.left(s)
		}
	case s != nil && b.Doubts(now) && b.runs[p.uid] != n.Name:
		return nil, b.begun()
	case s != nil:
		if s.Lasts() >= n.Lasts {
			return nil, ""
		}
		want.Millis = max(want.Millis, s.Millis)
	case p.deleting:
		return nil, "" // it has not begun to run, and will not
	}
	if (s == nil || s.Boot != n.Boot) && b.Doubts(now) {
		return nil, b.begun()
	}
	if s != nil {
		return &change.Change{
			Key: s.key, Base: s.rev, Value: resource.EncodeSlot(want), Reason: "the pod is permitted to run on node " + n.Name,
		}, ""
	}
	key, why := b.free(view, n, p, taken)
	if why != "" {
		return nil, why
	}
	return &change.Change{
		Key: key, Base: 0, Value: resource.EncodeSlot(want), Reason: "the pod is permitted to run on node " + n.Name,
	}, ""
}

// begun says why nothing that does not run yet is permitted.
func (b *Book) begun() string {
	return "this master has begun to lead, and waits " + wholeSeconds(ended(b.longest)).String() +
		" for permits of an earlier one to end before it gives a slot away"
}

// free is a slot for a pod that has none, or why there is none.
func (b *Book) free(view change.View, n *node, p *pod, taken map[change.Key]bool) (change.Key, string) {
	rec, ok := view.Get(p.key)
	if !ok {
		return change.Key{}, "the pod is deleted"
	}
	object, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil || object.UID != p.uid {
		return change.Key{}, "the pod has been replaced"
	}
	slots := resource.SlotsOf(view, object)
	var held []*slot
	count := 0
	for key := range taken {
		if key.Namespace == slots.Namespace && resource.SlotOwner(key) == slots.Owner {
			count++
		}
	}
	for key, s := range b.slots {
		if key.Namespace == slots.Namespace && resource.SlotOwner(key) == slots.Owner {
			held = append(held, s)
		}
	}
	// All that runs counts, whatever its number: there may have been more slots before.
	if count+len(held) < slots.Count {
		for i := 0; i <= len(b.slots)+len(taken); i++ {
			if key := slots.Key(i); b.slots[key] == nil && !taken[key] && (!b.apart || b.before[key] == n.Holder) {
				return key, ""
			}
		}
		return change.Key{}, "this master is cut off from etcd and another one may lead: until it knows, a slot goes only to the node that had it before"
	}
	if len(held) == 0 {
		return change.Key{}, "every slot of " + slots.Owner + " is taken"
	}
	slices.SortFunc(held, func(x, y *slot) int { return strings.Compare(x.key.Name, y.key.Name) })
	first := held[0]
	for _, s := range held { // name one whose pod is gone, or on its way
		if other := b.pods[s.Pod]; other == nil || other.deleting {
			first = s
			break
		}
	}
	return change.Key{}, fmt.Sprintf("its slot is held by pod %s on node %s%s", first.Name, first.Node, b.left(first))
}

// left says until when a slot is held if nothing is heard.
func (b *Book) left(s *slot) string {
	switch {
	case s.Bound && s.Name == "":
		return "; the record can't be read"
	case s.Bound:
		return ", which has to say that the pod is gone (when the device is off for good: edgectl fence " + s.Node + ")"
	case s.elsewhere:
		return ", which another master, cut off from here, may still permit to run it: until that node or that master is heard here " +
			"(when the device is off for good: edgectl fence " + s.Node + ")"
	case b.nodes[s.Node] != nil && b.nodes[s.Node].granted[s.Pod]:
		return " until that node says that it is gone, or " + wholeSeconds(ended(s.Lasts())).String() + " after it was last permitted to run"
	}
	return " for at most " + wholeSeconds(ended(s.Lasts())).String()
}

// Sent says that an answer has gone out.
func (b *Book) Sent(now clock.Now, a Answer) {
	n := b.nodes[a.To.Name]
	if n != nil {
		n.granted = map[types.UID]bool{}
	}
	for _, uid := range slices.Concat(a.Grant.Pods, a.Grant.Bound) {
		if n != nil {
			n.granted[types.UID(uid)] = true
		}
		if s := b.byPod[types.UID(uid)]; s != nil {
			if until := now.Add(ended(a.Grant.Lasts())); until.Boot > s.until.Boot {
				s.until = until
			}
		}
	}
}

// wholeSeconds rounds up: nobody is told too little.
func wholeSeconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
