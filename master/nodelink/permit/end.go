package permit

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Expire is the records whose last grant has surely ended, to be deleted, and when the next one will have, or a slot may
// be given away again.
func (b *Book) Expire(now clock.Now) (changes []change.Change, next clock.Now) {
	next = clock.Never
	if b.doubt.Boot != 0 {
		next = b.doubt
	}
	for _, key := range sortedSlots(b.slots) {
		s := b.slots[key]
		switch {
		case s.Bound, s.elsewhere, b.apart:
		case s.over(now):
			changes = append(changes, s.end("its last permit has surely ended"))
		default:
			next = clock.Earliest(next, s.until)
		}
	}
	return changes, next
}

// Gone is the record of a pod of which its node says, in its current run, that nothing is left; nil when that ends
// none: another boot, or another device, knows nothing of it.
func (b *Book) Gone(from Asker, uid types.UID) *change.Change {
	s := b.byPod[uid]
	if s == nil || s.Holder != from.Holder || !s.Bound && s.Boot != from.Boot {
		return nil
	}
	c := s.end("nothing of the pod is left on node " + from.Name)
	return &c
}

// Curious reports whether there is something to ask a node about: see Questions.
func (b *Book) Curious(name string) bool {
	if b.asks == nil {
		b.asks = map[string]bool{}
		for _, s := range b.slots {
			if s.Pod != "" && b.pods[s.Pod] == nil {
				b.asks[s.Node] = true
			}
		}
	}
	return b.asks[name]
}

// Questions is what a node is to be asked about: pods that hold a slot there though they are not in the store any
// more, each at most once an interval.
func (b *Book) Questions(now clock.Now, from Asker, interval time.Duration) []types.UID {
	var out []types.UID
	for _, key := range sortedSlots(b.slots) {
		s := b.slots[key]
		if s.Node != from.Name || s.Pod == "" || b.pods[s.Pod] != nil || b.Gone(from, s.Pod) == nil {
			continue
		}
		if s.asked.Boot != 0 && now.Since(s.asked) < interval {
			continue
		}
		s.asked = now
		out = append(out, s.Pod)
	}
	return out
}

// Released is the records of pods that a node has let go of; those that are in the store are not among them: they
// may have been granted since.
func (b *Book) Released(from Asker, pods []string) []change.Change {
	var out []change.Change
	for _, uid := range pods {
		if b.pods[types.UID(uid)] != nil {
			continue
		}
		if c := b.Gone(from, types.UID(uid)); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

func (s *slot) end(reason string) change.Change {
	return change.Change{Key: s.key, Base: s.rev, Reason: reason}
}

func sortedSlots(slots map[change.Key]*slot) []change.Key {
	return slices.SortedFunc(maps.Keys(slots), func(a, b change.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
