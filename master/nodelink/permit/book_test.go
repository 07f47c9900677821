package permit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

const lasts = 40 * time.Second

// surely is when a grant of lasts has ended by the master's clock: 40 s × 1.12 + 2 s.
const surely = 46*time.Second + 800*time.Millisecond

// world is a store, a Book that follows it, and nodes that ask.
type world struct {
	t     *testing.T
	store *store.Memory
	book  *permit.Book
	now   clock.Now
	boots map[string]string

	elsewhere bool // when a master begins to lead
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: store.NewMemory(store.Config{Schema: resource.Schema(), Epoch: change.Epoch{Start: 1}}),
		now: clock.Now{Wall: time.Unix(1_800_000_000, 0), Boot: time.Hour}, boots: map[string]string{}}
	w.book = permit.NewBook(permit.Config{Since: w.now, Longest: lasts, First: true})
	w.book.Reset(w.store.View())
	return w
}

// lead makes a Book that knows nothing but the store, as a master does that has just begun to lead.
func (w *world) lead() {
	w.book = permit.NewBook(permit.Config{Since: w.now, Longest: lasts, Elsewhere: w.elsewhere})
	w.book.Reset(w.store.View())
}

func (w *world) commit(changes ...change.Change) {
	w.t.Helper()
	before := w.store.View()
	if _, err := w.store.Commit(w.t.Context(), changes); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range changes {
		old, _ := before.Get(c.Key)
		now, _ := w.store.View().Get(c.Key)
		w.book.Observe(change.Event{Key: c.Key, Old: old, New: now})
	}
}

func (w *world) put(r *resource.Resource, o resource.Object) {
	w.t.Helper()
	value, err := resource.Encode(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(change.Change{Key: r.Key(o.GetNamespace(), o.GetName()), Base: change.Any, Value: value})
}

// pod binds a single pod: "db node=n1 uid=a".
func (w *world) pod(text string, edit ...func(*corev1.Pod)) {
	w.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Annotations: map[string]string{
		shared.PartitionPolicy: shared.PolicyStop, shared.AnnotationScheduled: "true",
	}}}
	for i, f := range strings.Fields(text) {
		key, value, _ := strings.Cut(f, "=")
		switch {
		case i == 0:
			p.Name, p.UID = f, types.UID(f)
		case key == "node":
			p.Spec.NodeName = value
		case key == "uid":
			p.UID = types.UID(value)
		case key == "of":
			yes := true
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: value, UID: types.UID(value), Controller: &yes}}
		case key == "pinned":
			delete(p.Annotations, shared.AnnotationScheduled)
		case key == "deleting":
			p.DeletionTimestamp = &metav1.Time{Time: w.now.Wall}
		}
	}
	for _, e := range edit {
		e(p)
	}
	w.put(resource.Pods, p)
}

// deployment makes one with a set of each name.
func (w *world) deployment(name string, replicas int32, sets ...string) {
	w.t.Helper()
	w.put(resource.Deployments, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: appsv1.DeploymentSpec{Replicas: &replicas},
	})
	yes := true
	for _, set := range sets {
		w.put(resource.ReplicaSets, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: set, UID: types.UID(set),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: name, UID: types.UID(name), Controller: &yes}}}})
	}
}

func (w *world) remove(pod string) {
	w.t.Helper()
	w.commit(change.Change{Key: resource.Pods.Key("default", pod), Base: change.Any})
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// asker is a node: "n1", or "n1/k2" when another device has its name.
func (w *world) asker(node string) permit.Asker {
	name, _, _ := strings.Cut(node, "/")
	return permit.Asker{Name: name, Holder: types.UID(node), Boot: "boot" + w.boots[name], Ask: uint64(w.now.Boot.Milliseconds()), Lasts: lasts}
}

// ask has a node ask, writes what that takes, and says what was granted and what waits.
func (w *world) ask(node string) string {
	w.t.Helper()
	return w.answer(w.book.Ask(w.store.View(), w.now, w.asker(node)))
}

func (w *world) answer(a permit.Answer) string {
	w.t.Helper()
	if len(a.Changes) > 0 {
		w.commit(a.Changes...)
	}
	w.book.Sent(w.now, a)
	out := append(slices.Clone(a.Grant.Pods), bound(a.Grant)...)
	return strings.Join(out, " ")
}

func bound(g message.Grant) (out []string) {
	for _, uid := range g.Bound {
		out = append(out, "bound:"+uid)
	}
	return out
}

// expire ends what has ended and says what that is.
func (w *world) expire() string {
	w.t.Helper()
	changes, _ := w.book.Expire(w.now)
	return w.end(changes)
}

func (w *world) end(changes []change.Change) string {
	w.t.Helper()
	var out []string
	for _, c := range changes {
		out = append(out, resource.SlotName(c.Key))
	}
	if len(changes) > 0 {
		w.commit(changes...)
	}
	return strings.Join(out, " ")
}

func (w *world) gone(node, uid string) string {
	w.t.Helper()
	if c := w.book.Gone(w.asker(node), types.UID(uid)); c != nil {
		return w.end([]change.Change{*c})
	}
	return ""
}

func (w *world) waits(node string) (out []string) {
	for _, wait := range w.book.Ask(w.store.View(), w.now, w.asker(node)).Waits {
		out = append(out, wait.Pod.Name+": "+wait.Reason)
	}
	return out
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// A pod is permitted when its slot is free; the record is there before; asking again writes nothing.
func TestAPodIsPermitted(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1")
	w.pod("other node=n1", func(p *corev1.Pod) { p.Annotations = nil })
	want(t, "first", w.ask("n1"), "db")
	want(t, "another node", w.ask("n2"), "")
	rev := w.store.View().Rev()
	w.pass(10 * time.Second)
	want(t, "again", w.ask("n1"), "db")
	if w.store.View().Rev() != rev {
		t.Error("a renewal was written")
	}
}

// Its successor on another node waits until the last grant has surely ended, whatever became of the objects.
func TestASuccessorWaits(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a")
	w.ask("n1")
	w.pass(9 * time.Second)
	w.ask("n1")
	w.remove("db") // by force
	w.pod("db node=n2 uid=b")
	want(t, "at once", w.ask("n2"), "")
	w.pass(surely - 1)
	want(t, "nothing has ended", w.expire(), "")
	want(t, "just before", w.ask("n2"), "")
	w.pass(1)
	want(t, "what has ended", w.expire(), "pod/db/0")
	if got := w.book.Again(w.now); !slices.Equal(got, []string{"n2"}) {
		t.Errorf("to answer again: %v", got)
	}
	a, more := w.book.AnswerAgain(w.store.View(), w.now, "n2")
	if !more {
		t.Error("the slot is free, and n2 gets nothing new")
	}
	want(t, "then", w.answer(a), "b")
}

// Who waits is told why, once.
func TestWhoWaitsIsTold(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a")
	w.ask("n1")
	w.remove("db")
	w.pod("db node=n2 uid=b")
	if d := cmp.Diff([]string{"db: its slot is held by pod db on node n1 until that node says that it is gone, or 47s after it was last permitted to run"}, w.waits("n2")); d != "" {
		t.Error(d)
	}
	if again := w.waits("n2"); len(again) != 0 {
		t.Errorf("told again: %v", again)
	}
}

// The node's own word ends a record at once, but only of the same device on the same boot.
func TestTheNodesWord(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a deleting")
	want(t, "a pod that never ran", w.ask("n1"), "")
	w.pod("db node=n1 uid=a")
	w.ask("n1")
	want(t, "another device", w.gone("n1/other", "a"), "")
	w.boots["n1"] = "2"
	want(t, "another boot", w.gone("n1", "a"), "")
	w.boots["n1"] = ""
	want(t, "another pod", w.gone("n1", "b"), "")
	want(t, "the node", w.gone("n1", "a"), "pod/db/0")
}

// After a reboot, and for another device of the same name, the permit before has to end first.
func TestAnotherBoot(t *testing.T) {
	for name, change := range map[string]func(*world) string{
		"reboot": func(w *world) string { w.boots["n1"] = "2"; return "n1" },
		"device": func(*world) string { return "n1/other" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pod("db node=n1")
			w.ask("n1")
			who := change(w)
			want(t, "at once", w.ask(who), "")
			w.pass(surely - 1)
			want(t, "just before", w.ask(who), "")
			w.pass(1)
			want(t, "then", w.ask(who), "db")
			w.pass(surely)
			want(t, "and it is the new one's", w.gone(who, "db"), "pod/db/0")
		})
	}
}

// A master that begins to lead doesn't know when the last grant was sent: it may have been just now.
func TestAMasterBeginsToLead(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a")
	w.ask("n1")
	w.remove("db")
	w.pod("db node=n2 uid=b")
	w.pass(time.Hour)
	w.lead()
	want(t, "at once", w.ask("n2"), "")
	w.pass(surely - 1)
	want(t, "just before", w.expire()+w.ask("n2"), "")
	w.pass(1)
	want(t, "then", w.expire(), "pod/db/0")
	want(t, "and", w.ask("n2"), "b")

	w.pod("web node=n1")
	w.ask("n1")
	w.lead()
	want(t, "nothing is known of it", w.ask("n1"), "")
	w.book.Runs("n2", "web", true)
	want(t, "another node says that it runs there", w.ask("n1"), "")
	w.book.Runs("n1", "web", true)
	want(t, "the holder goes on", w.ask("n1"), "web")
	w.book.Runs("n1", "web", false)
	want(t, "it has ended", w.ask("n1"), "")
	w.pass(surely)
	want(t, "the doubt is over", w.ask("n1"), "web")
}

// The store of a master that begins to lead may be older than what was granted: it gives no slot away before that has
// ended, and neither does one whose nodes have seen more than it has.
func TestPermitsWithoutARecord(t *testing.T) {
	for name, begin := range map[string]func(*world){
		"a master begins to lead":           func(w *world) { w.lead() },
		"its nodes have seen another epoch": func(w *world) { w.book.Doubt(w.now) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pod("old node=n1")
			w.ask("n1")
			begin(w)
			w.pod("db node=n2")
			want(t, "at once", w.ask("n2"), "")
			want(t, "what has a record, and may have lost its slot since", w.ask("n1"), "")
			w.book.Runs("n1", "old", true)
			want(t, "what has a record and runs goes on", w.ask("n1"), "old")
			w.pass(surely - 1)
			want(t, "just before", w.ask("n2"), "")
			if _, next := w.book.Expire(w.now); next.Boot != w.now.Boot+1 {
				t.Errorf("looks again at %s, in %s", next.Boot, next.Boot-w.now.Boot)
			}
			w.pass(1)
			if got := w.book.Again(w.now); !slices.Equal(got, []string{"n2"}) {
				t.Errorf("to answer again: %v", got)
			}
			a, _ := w.book.AnswerAgain(w.store.View(), w.now, "n2")
			want(t, "then", w.answer(a), "db")
		})
	}
}

// A watch that fell behind costs no knowledge of grants.
func TestReset(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1")
	w.pass(time.Hour)
	w.ask("n1")
	w.book.Reset(w.store.View())
	want(t, "expired", w.expire(), "")
	want(t, "granted", w.ask("n1"), "db")
}

// A longer permit is written before it is granted; a shorter one needs no writing.
func TestAnotherLength(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1")
	w.ask("n1")
	longer := w.asker("n1")
	longer.Lasts = 10 * lasts
	a := w.book.Ask(w.store.View(), w.now, longer)
	if len(a.Changes) != 1 {
		t.Fatalf("changes %v", a.Changes)
	}
	w.answer(a)
	rec, _ := w.store.View().Get(resource.Slots{Namespace: "default", Owner: "pod/db"}.Key(0))
	if s, err := resource.DecodeSlot(rec.Value); err != nil || s.Lasts() != 10*lasts {
		t.Errorf("record %+v, %v", s, err)
	}
	w.pass(2 * surely)
	want(t, "the longer one is in force", w.expire(), "")
	if a := w.book.Ask(w.store.View(), w.now, w.asker("n1")); len(a.Changes) != 0 || a.Grant.Lasts() != lasts {
		t.Errorf("%+v", a)
	}
}

// Replicas share as many slots as their Deployment has replicas, over all its sets; what runs too much counts, too.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	w.deployment("web", 2, "old", "new")
	for _, text := range []string{"a of=old node=n1", "b of=old node=n2", "c of=new node=n3", "d of=new node=n3"} {
		w.pod(text)
	}
	want(t, "n1", w.ask("n1"), "a")
	want(t, "n3 takes one", w.ask("n3"), "c")
	want(t, "n2 comes too late", w.ask("n2"), "")
	w.deployment("web", 3)
	want(t, "scaled up", w.ask("n2"), "b")
	w.deployment("web", 1)
	w.pod("a of=old node=n1 deleting")
	want(t, "what runs goes on, also while it ends", w.ask("n1"), "a")
	w.gone("n1", "a")
	w.gone("n2", "b")
	want(t, "one of one is left", w.ask("n3"), "c")
	w.gone("n3", "c")
	w.remove("c")
	want(t, "its place is free", w.ask("n3"), "d")
	if n := w.store.View().Count(resource.SlotKind); n != 1 {
		t.Errorf("%d slots are taken", n)
	}
}

// A pod that can run on its node only is bound for good, on any boot; only its device, or a person, ends that.
func TestPinned(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a pinned")
	want(t, "bound", w.ask("n1"), "bound:a")
	w.boots["n1"] = "2"
	want(t, "after a reboot", w.ask("n1"), "bound:a")
	w.pass(24 * time.Hour)
	want(t, "for ever", w.expire(), "")
	w.remove("db")
	w.pod("db node=n2 uid=b pinned")
	want(t, "elsewhere", w.ask("n2"), "")
	want(t, "another device", w.gone("n1/other", "a"), "")
	want(t, "fenced", w.end(resource.Fence(w.store.View(), "n1")), "pod/db/0")
	want(t, "then", w.ask("n2"), "bound:b")
	want(t, "its word", w.gone("n2", "b"), "pod/db/0")
}

// A pod that has run to its end is not permitted any more, and its slot gets free.
func TestAPodThatHasEnded(t *testing.T) {
	w := newWorld(t)
	w.pod("job node=n1")
	w.ask("n1")
	w.pod("job node=n1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	want(t, "granted", w.ask("n1"), "")
	w.pass(surely)
	want(t, "ended", w.expire(), "pod/job/0")
}

// A node is asked about pods that nobody knows any more, and answers for itself.
func TestQuestions(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a")
	w.pod("web node=n1")
	w.ask("n1")
	if w.book.Curious("n1") {
		t.Error("n1 is asked about pods that are there")
	}
	w.remove("db")
	if !w.book.Curious("n1") || w.book.Curious("n2") {
		t.Errorf("n1 is asked: %v, n2 is: %v", w.book.Curious("n1"), w.book.Curious("n2"))
	}
	ask := func(node string) string { return fmt.Sprint(w.book.Questions(w.now, w.asker(node), 10*time.Second)) }
	want(t, "another node", ask("n2"), "[]")
	want(t, "the node", ask("n1"), "[a]")
	want(t, "too soon", ask("n1"), "[]")
	w.pass(10 * time.Second)
	want(t, "again", ask("n1"), "[a]")
	want(t, "released", w.end(w.book.Released(w.asker("n1"), []string{"a", "web", "never"})), "pod/db/0")
	want(t, "the rest is as it was", w.ask("n1"), "web")
}

// A record that can't be read holds its slot until a person has looked.
func TestAnUnreadableRecord(t *testing.T) {
	w := newWorld(t)
	w.commit(change.Change{Key: resource.Slots{Namespace: "default", Owner: "pod/db"}.Key(0), Base: 0, Value: []byte{0xff}})
	w.pod("db node=n1")
	w.pass(24 * time.Hour)
	want(t, "expired", w.expire(), "")
	want(t, "granted", w.ask("n1"), "")
}

// A master that takes over while the one before may be cut off, and permit what it likes, waits for each node to obey it,
// for the other master's word, or for a person.
func TestAnotherMasterMayPermit(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(w *world)
		waits time.Duration // for the permit to end, afterwards
	}{
		"the node is heard":  {func(w *world) { w.book.Heard(w.now, "n1", "n1") }, surely},
		"the master is":      {func(w *world) { w.book.Alone(w.now) }, surely},
		"the node is fenced": {func(w *world) { w.end(resource.Fence(w.store.View(), "n1")) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pod("db node=n1 uid=a")
			w.ask("n1")
			w.remove("db")
			w.pod("db node=n2 uid=b")
			w.elsewhere = true
			w.lead()
			w.pass(24 * time.Hour)
			want(t, "for ever", w.expire()+w.ask("n2"), "")
			w.book.Heard(w.now, "n2", "n2")
			w.book.Heard(w.now, "n1", "another device")
			w.book.Reset(w.store.View())
			w.pass(time.Hour)
			want(t, "others are heard", w.expire()+w.ask("n2"), "")
			c.then(w)
			if c.waits > 0 {
				w.pass(c.waits - 1)
				want(t, "just before", w.expire()+w.ask("n2"), "")
				w.pass(1)
				want(t, "then", w.expire(), "pod/db/0")
			}
			want(t, "and", w.ask("n2"), "b")
		})
	}
}

// What such a master grants itself is its own: it ends by time.
func TestWhatThisMasterGrants(t *testing.T) {
	w := newWorld(t)
	w.elsewhere = true
	w.lead()
	w.book.Heard(w.now, "n1", "n1")
	w.pod("db node=n1")
	w.pass(surely)
	want(t, "granted", w.ask("n1"), "db")
	w.pass(surely)
	want(t, "ended", w.expire(), "pod/db/0")
}

// A master that is cut off while another may lead: what is silent may obey the other, so that nothing ends by time, and a
// slot stays with the node that had it. When it knows that nobody else has led, all is as before.
func TestAnotherMasterMayLead(t *testing.T) {
	w := newWorld(t)
	w.pod("db node=n1 uid=a")
	w.ask("n1")
	w.book.Apart(true)
	w.pass(24 * time.Hour)
	want(t, "by time", w.expire(), "")
	want(t, "who asks goes on", w.ask("n1"), "a")
	w.remove("db")
	w.pod("db node=n2 uid=b")
	want(t, "its word still counts", w.gone("n1", "a"), "pod/db/0")
	want(t, "another node", w.ask("n2"), "")
	w.remove("db")
	w.pod("db node=n1 uid=c")
	want(t, "the same one", w.ask("n1"), "c")
	w.pod("new node=n1")
	want(t, "a slot that the other master may give away, too", w.ask("n1"), "c")
	w.pass(10 * surely)
	w.boots["n1"] = "2"
	want(t, "after a reboot, when its permit has ended", w.ask("n1"), "c")
	w.remove("db")
	w.pod("db node=n2 uid=d")
	w.pass(10 * surely)
	want(t, "still apart", w.expire()+w.ask("n2"), "")
	w.book.Apart(false)
	want(t, "nobody else has led", w.expire(), "pod/db/0")
	want(t, "then", w.ask("n2"), "d")
	want(t, "and", w.ask("n1"), "new")
}
