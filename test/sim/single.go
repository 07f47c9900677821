package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// singles is what the world knows of the pods that must be single. It forgets nothing, whatever becomes of the store: a
// container outlives its pod.
type singles struct {
	pods   map[string]*singlePod // by uid
	owners map[string]*owner     // by name, as resource.Slots has it
	order  []string              // of the owners, as they came
}

// singlePod is a pod of partition policy stop.
type singlePod struct {
	uid, name string
	owner     *owner
	pinned    bool // it can run on its node only
}

// owner is what pods share slots of: a bare pod's name, or a Deployment.
type owner struct {
	name  string
	asked int // how many may run, as the store says
	// most is how many may run. It grows at once; it shrinks when no more hold a slot, and no more run.
	most int
	held map[change.Key]resource.Slot
}

func newSingles() singles {
	return singles{pods: map[string]*singlePod{}, owners: map[string]*owner{}}
}

func (s *singles) owner(name string) *owner {
	o := s.owners[name]
	if o == nil {
		o = &owner{name: name, held: map[change.Key]resource.Slot{}}
		if strings.HasPrefix(name, "pod/") {
			o.asked, o.most = 1, 1
		}
		s.owners[name] = o
		s.order = append(s.order, name)
	}
	return o
}

// ask notes how many pods of a Deployment are to run.
func (o *owner) ask(n int) { o.asked, o.most = n, max(o.most, n) }

// followPod notes a pod that must be single.
func (s *singles) followPod(p *corev1.Pod) {
	if !shared.Single(p) {
		return
	}
	known := s.pods[string(p.UID)]
	if known == nil {
		name := "pod/" + p.Name
		if metav1.GetControllerOfNoCopy(p) != nil {
			name = "deployment/" + p.Labels["app"]
		}
		known = &singlePod{uid: string(p.UID), name: p.Name, owner: s.owner(name)}
		s.pods[known.uid] = known
	}
	known.pinned = shared.Pinned(p)
}

// followSlot notes which slots are taken.
func (w *World) followSlot(e change.Event) {
	o := w.singles.owner(resource.SlotOwner(e.Key))
	delete(o.held, e.Key)
	if !e.New.Exists() {
		return
	}
	content, err := resource.DecodeSlot(e.New.Value)
	if err != nil {
		w.fail("decode slot %s: %w", e.Key.Name, err)
		return
	}
	o.held[e.Key] = content
}

// resetSlots reads them anew.
func (w *World) resetSlots(view change.View) {
	for _, name := range w.singles.order {
		o := w.singles.owners[name]
		clear(o.held)
		if strings.HasPrefix(name, "deployment/") {
			o.asked = 0
		}
	}
	for rec := range view.List(resource.SlotKind, "") {
		w.followSlot(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
	}
}

// hindered reports whether a pod may wait for a slot longer than a permit lasts: other pods of its owner are there, as many as
// may run, or a slot is bound to a device whose word it takes.
func (p *singlePod) hindered(uid string, bound int) bool {
	if bound > max(p.owner.asked, 1) {
		return true
	}
	for _, s := range p.owner.held {
		if s.Bound && string(s.Pod) != uid {
			return true
		}
	}
	return false
}

// instance is a pod that runs somewhere.
type instance struct {
	n  *node
	p  *singlePod
	id string
}

// instances are the single pods that run on a machine now. A pinned pod on a copy of its node's disk does not count:
// the copy has the right to run it for good, as the node has, and nobody can know of the other.
func (n *node) instances() (out []instance) {
	running := n.containers()
	for _, uid := range slices.Sorted(maps.Keys(running)) {
		if p := n.w.singles.pods[uid]; p != nil && (!p.pinned || n.original == nil && n.w.restores == 0) {
			out = append(out, instance{n, p, running[uid][0]})
		}
	}
	return out
}

// checkSingles: of a bare pod of a name one runs at most, of a Deployment's as many as were asked for. It looks at all
// machines at one instant.
func (w *World) checkSingles() {
	if len(w.singles.pods) == 0 {
		return
	}
	running := w.allInstances()
	settled := w.now > w.restoredAt+w.permitsEnd()
	for _, name := range w.singles.order {
		o := w.singles.owners[name]
		if len(running[o]) > o.most {
			for _, n := range w.machines() {
				n.counted = false // one may end at this instant, and its engine not have said so yet
			}
			running = w.allInstances()
		}
		n := len(running[o])
		if n > o.most {
			w.fail("%d of %s run at once, %d is the most: %s", n, name, o.most, list(running[o]))
		}
		if settled {
			o.most = min(o.most, max(o.asked, len(o.held), n, 1))
		}
	}
}

func (w *World) allInstances() map[*owner][]instance {
	out := map[*owner][]instance{}
	for _, n := range w.machines() {
		for _, i := range n.instances() {
			out[i.p.owner] = append(out[i.p.owner], i)
		}
	}
	return out
}

func list(running []instance) string {
	var out []string
	for _, i := range running {
		out = append(out, fmt.Sprintf("%s on %s (%s)", i.p.name, i.n.who(), i.id))
	}
	return strings.Join(out, ", ")
}

// permitsEnd is how long after it was sent the longest permit that any master of this world has given has ended, by the
// slowest clock: a slot's record has the longest of its pod, for as long as it is there.
func (w *World) permitsEnd() time.Duration { return slack(w.longest*112/100 + 2*time.Second) }

// noteSettings remembers with which settings masters have led.
func (w *World) noteSettings(s message.Settings) {
	w.longest, w.slowest = max(w.longest, permit.Lasts(s)), max(w.slowest, s.Heartbeat())
}
