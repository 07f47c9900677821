package permit

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// Lasts is how long a permit of a node with these settings holds: four heartbeats may be lost, and it is never over
// before the node counts as lost.
func Lasts(s message.Settings) time.Duration { return max(4*s.Heartbeat(), s.Timeout()) }

// ended is how long after it was sent a grant has surely ended, by the master's clock.
func ended(lasts time.Duration) time.Duration { return lasts*112/100 + 2*time.Second }

// Book knows which slots are taken and until when. It belongs to one goroutine.
type Book struct {
	since   clock.Now // when this master began to lead
	longest time.Duration
	doubt   clock.Now // until then there may be permits without a record
	// runs are the pods of which something runs, as their nodes have said since the doubt arose, with the nodes.
	runs  map[types.UID]string
	slots map[change.Key]*slot
	byPod map[types.UID]*slot
	// pods are those that must be single and are bound, by uid; of a node's, byNode has the uids.
	pods   map[types.UID]*pod
	names  map[change.Key]types.UID
	byNode map[string]map[types.UID]bool
	nodes  map[string]*node
	freed  bool // a slot may have become free since the last Again
	// asks are the nodes that hold slots of pods that nobody knows any more; nil: to be looked up again.
	asks map[string]bool
	// elsewhere: another master may still grant permits, as one that is cut off does until it knows better.
	elsewhere bool
	heard     map[string]types.UID // the nodes that obey this master, with the uids of their objects
	// apart: another master may lead by now, and whoever is silent here may obey it. before has the slots that were taken
	// when that began, with the uids of their nodes' objects; the other master has them in its store, too.
	apart  bool
	before map[change.Key]types.UID
}

// slot is a slot that is taken.
type slot struct {
	key change.Key
	rev change.Rev
	resource.Slot
	until clock.Now // when the last grant that named the pod has surely ended
	asked clock.Now // when the node was last asked about it; zero: never
	// elsewhere: another master may still permit this, so that until says nothing yet.
	elsewhere bool
}

// over reports whether no permit for the slot's pod can be in force any more.
func (s *slot) over(now clock.Now) bool { return !s.Bound && !s.elsewhere && now.Reached(s.until) }

// pod is a single pod that is bound to a node.
type pod struct {
	key      change.Key
	uid      types.UID
	node     string
	pinned   bool
	deleting bool
	over     bool   // it has ended, and nothing of it runs again
	told     string // why it waits, as it was last told
}

// node is the heartbeat that a node sent last.
type node struct {
	Asker
	at      clock.Now
	granted map[types.UID]bool // by the last grant
	waits   bool               // it has pods that were not granted
}

// Asker is a node that asks, in its current run.
type Asker struct {
	Name   string
	Holder types.UID // of the Node object that belongs to its key
	Boot   string    // of its run
	Ask    uint64    // as in its heartbeat
	Lasts  time.Duration
}

// Config of a Book.
type Config struct {
	Since clock.Now // when this master began to lead
	// Longest is the longest permit that this master grants, or an earlier one has granted.
	Longest time.Duration
	// First says that nobody has led this cluster before.
	First bool
	// Elsewhere says that the master before may not know yet that this one leads, and still grant permits: what a node
	// holds then counts until the node is heard here, for it obeys one master, or until Alone.
	Elsewhere bool
}

// NewBook returns a Book that knows nothing of the store until Reset.
func NewBook(c Config) *Book {
	b := &Book{since: c.Since, longest: c.Longest, elsewhere: c.Elsewhere,
		slots: map[change.Key]*slot{}, runs: map[types.UID]string{}, nodes: map[string]*node{}, heard: map[string]types.UID{}}
	if !c.First {
		b.Doubt(c.Since)
	}
	b.forget()
	return b
}

// Doubt says that the store may be older than what was granted, as one that was restored from a backup: there may be
// permits without a record, and records of pods whose slots others have got since. Until they have ended no slot is given
// away, and nothing is permitted but what has a record and runs: it was permitted all the time.
func (b *Book) Doubt(now clock.Now) {
	b.runs = map[types.UID]string{}
	if until := now.Add(ended(b.longest)); until.Boot > b.doubt.Boot {
		b.doubt = until
	}
}

// Doubts reports whether there may be permits without a record.
func (b *Book) Doubts(now clock.Now) bool { return !now.Reached(b.doubt) }

// Runs takes in whether something of a pod runs on a node, as the node says. It matters while the Book is in doubt.
func (b *Book) Runs(node string, uid types.UID, runs bool) {
	switch {
	case runs:
		b.runs[uid] = node
	case b.runs[uid] == node:
		delete(b.runs, uid)
	}
}

func (b *Book) forget() {
	b.byPod, b.pods, b.names = map[types.UID]*slot{}, map[types.UID]*pod{}, map[change.Key]types.UID{}
	b.byNode = map[string]map[types.UID]bool{}
	b.freed, b.asks = true, nil
}

// Reset rebuilds what the Book knows of the store. When grants were sent it still knows.
func (b *Book) Reset(view change.View) {
	before := b.slots
	b.slots = map[change.Key]*slot{}
	b.forget()
	for rec := range view.List(resource.SlotKind, "") {
		if old := before[rec.Key]; old != nil {
			b.slots[rec.Key] = old
		}
		b.setSlot(rec.Key, rec)
	}
	for rec := range view.List(resource.Pods.Kind, "") {
		b.setPod(rec.Key, rec)
	}
}

// Observe takes in one write.
func (b *Book) Observe(e change.Event) {
	switch e.Key.Kind {
	case resource.SlotKind:
		b.setSlot(e.Key, e.New)
	case resource.Pods.Kind:
		b.setPod(e.Key, e.New)
	}
}

// setSlot takes over a slot's record. What can't be read is taken by a pod that nobody knows, for good: a person
// has to look.
func (b *Book) setSlot(key change.Key, rec change.Record) {
	old := b.slots[key]
	b.asks = nil
	delete(b.slots, key)
	if old != nil && b.byPod[old.Pod] == old {
		delete(b.byPod, old.Pod)
	}
	if !rec.Exists() {
		b.freed = b.freed || old != nil
		return
	}
	content, err := resource.DecodeSlot(rec.Value)
	if err != nil {
		content = resource.Slot{Bound: true}
	}
	s := &slot{key: key, rev: rec.Rev, Slot: content, until: b.since.Add(ended(content.Lasts()))}
	s.elsewhere = b.elsewhere && b.heard[content.Node] != content.Holder
	if old != nil && old.Pod == content.Pod && old.Boot == content.Boot && old.Holder == content.Holder {
		s.until, s.asked, s.elsewhere = old.until, old.asked, old.elsewhere
	}
	b.slots[key] = s
	if content.Pod != "" {
		b.byPod[content.Pod] = s
	}
}

// setPod takes over a pod, if it must be single.
func (b *Book) setPod(key change.Key, rec change.Record) {
	var object *corev1.Pod
	if rec.Exists() && resource.PodNodeName(rec.Value) != "" {
		if meta, err := resource.Meta(rec.Value); err == nil && meta.Annotations[shared.PartitionPolicy] == shared.PolicyStop {
			object, _ = resource.As[*corev1.Pod](resource.Pods, rec)
		}
	}
	told := ""
	if uid, ok := b.names[key]; ok {
		old := b.pods[uid]
		if object != nil && object.UID == uid {
			told = old.told
		}
		if object == nil || object.UID != uid {
			b.asks = nil
		}
		delete(b.names, key)
		delete(b.pods, uid)
		delete(b.byNode[old.node], uid)
		if len(b.byNode[old.node]) == 0 {
			delete(b.byNode, old.node)
		}
	}
	if object == nil {
		return
	}
	p := &pod{
		key: key, uid: object.UID, node: object.Spec.NodeName, pinned: shared.Pinned(object),
		deleting: object.DeletionTimestamp != nil, over: resource.Ended(object), told: told,
	}
	b.names[key], b.pods[p.uid] = p.uid, p
	if b.byNode[p.node] == nil {
		b.byNode[p.node] = map[types.UID]bool{}
	}
	b.byNode[p.node][p.uid] = true
}

// Forget says that a node's run is not current any more: no heartbeat of it is answered again.
func (b *Book) Forget(name string) { delete(b.nodes, name) }

// Heard says that a node obeys this master: it has answered its challenge, and takes no permit of an earlier one any more.
// What it holds of those ends as if it had been granted just now.
func (b *Book) Heard(now clock.Now, name string, holder types.UID) {
	b.heard[name] = holder
	for _, s := range b.slots {
		if s.Node == name && s.Holder == holder {
			s.settle(now)
		}
	}
}

// Alone says that no other master grants permits any more.
func (b *Book) Alone(now clock.Now) {
	if !b.elsewhere {
		return
	}
	b.elsewhere = false
	for _, s := range b.slots {
		s.settle(now)
	}
}

// Apart says whether another master may lead by now, as when this one is cut off from etcd. Then a node that is silent may
// obey the other, so that no permit ends by time; and a slot goes to nobody but the node that had it when that began, for
// of any other the other master would know nothing.
func (b *Book) Apart(apart bool) {
	if apart == b.apart {
		return
	}
	b.apart, b.before = apart, nil
	b.freed = true
	if !apart {
		return
	}
	b.before = map[change.Key]types.UID{}
	for key, s := range b.slots {
		b.before[key] = s.Holder
	}
}

// settle says that from now on no other master can permit the slot's pod.
func (s *slot) settle(now clock.Now) {
	if !s.elsewhere {
		return
	}
	s.elsewhere = false
	if until := now.Add(ended(s.Lasts())); until.Boot > s.until.Boot {
		s.until = until
	}
}
