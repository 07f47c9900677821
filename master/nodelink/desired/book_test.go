package desired

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/message"
)

// state is a store and a Book that follows it.
type state struct {
	t       *testing.T
	store   *store.Memory
	book    *Book
	cursors []store.Cursor
}

var epoch = message.Epoch{Start: 4}

func newState(t *testing.T) *state {
	s := &state{
		t:     t,
		store: store.NewMemory(store.Config{Schema: resource.Schema()}),
		book:  NewBook(epoch, message.Settings{HeartbeatMillis: 1000}, message.NewPacker()),
	}
	for _, kind := range Kinds {
		c, err := s.store.Watch(kind, s.store.View().Rev(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		s.cursors = append(s.cursors, c)
	}
	for _, name := range []string{"n1", "n2"} {
		s.put(resource.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return s
}

func (s *state) put(r *resource.Resource, o resource.Object) {
	s.t.Helper()
	value, err := resource.Encode(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(r.Key(o.GetNamespace(), o.GetName()), value)
}

func (s *state) write(key change.Key, value []byte) {
	s.t.Helper()
	if _, err := s.store.Commit(context.Background(), []change.Change{{Key: key, Base: change.Any, Value: value}}); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range s.cursors {
		for {
			e, ok, err := c.Next()
			if err != nil {
				s.t.Fatal(err)
			}
			if !ok {
				break
			}
			if err := s.book.Observe(e); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// sends returns the documents that are new, as node serial: pods + ConfigMaps and Secrets.
func (s *state) sends() []string {
	s.t.Helper()
	var out []string
	for _, node := range s.book.Touched() {
		doc, send, err := s.book.Update(s.store.View(), node, false)
		if err != nil {
			s.t.Fatal(err)
		}
		if !send {
			continue
		}
		_, content, err := doc.Unpack()
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d: %d+%d", node, doc.Position.Serial, len(content.Pods), len(content.ConfigMaps)+len(content.Secrets)))
	}
	return out
}

func (s *state) expect(what string, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.sends()); diff != "" {
		s.t.Errorf("after %s the documents sent differ (-want +got):\n%s", what, diff)
	}
}

func pod(name, node string, edits ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "c", Env: []corev1.EnvVar{{Name: "K", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "config-" + name}, Key: "k",
			}}}},
		}}},
	}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

// Only what a node acts upon makes a new document, and only for the nodes that it concerns.
func TestOnlyTouchedNodesGetDocuments(t *testing.T) {
	s := newState(t)
	s.expect("the nodes joined", "n1 1: 0+0", "n2 1: 0+0")
	s.put(resource.Pods, pod("a", ""))
	s.expect("an unbound pod was created")
	s.put(resource.Pods, pod("a", "n1"))
	s.expect("it was bound", "n1 2: 1+0")
	s.put(resource.Pods, pod("a", "n1", func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodRunning
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
		p.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}
		p.Finalizers = []string{"f"}
	}))
	s.expect("its status and the master's own fields changed")
	s.put(resource.ConfigMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "config-a"}})
	s.expect("its ConfigMap was created", "n1 3: 1+1")
	s.put(resource.ConfigMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "config-a"}})
	s.expect("a ConfigMap of another namespace was created")
	s.put(resource.Pods, pod("a", "n1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }))
	s.expect("it has ended", "n1 4: 1+1")
	now := metav1.Now()
	s.put(resource.Pods, pod("a", "n1", func(p *corev1.Pod) { p.DeletionTimestamp = &now }))
	s.expect("its deletion began", "n1 5: 1+1")
	s.write(resource.Pods.Key("default", "a"), nil)
	s.expect("it is gone", "n1 6: 0+0")
	s.write(resource.ConfigMaps.Key("default", "config-a"), nil)
	s.expect("the ConfigMap that nobody names any more is gone")
	s.put(resource.Pods, pod("s", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = nil
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "keys"}}}}
	}))
	s.put(resource.Secrets, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keys"}})
	s.expect("a pod with a volume and its Secret were created", "n1 7: 1+1")
	s.write(resource.Pods.Key("default", "s"), nil)
	s.expect("it is gone, too", "n1 8: 0+0")
	s.put(resource.Pods, pod("b", "n2"))
	s.expect("a pod of n2 was created", "n2 2: 1+0")
	s.write(resource.Nodes.Key("", "n2"), nil)
	s.expect("n2 was deleted", "n2 3: 0+0")
}

// A Book that starts over, and one of another epoch, have the same digests: nothing needs to be sent again.
func TestEqualStatesHaveEqualDigests(t *testing.T) {
	s := newState(t)
	random := rand.New(rand.NewSource(1))
	for range 200 {
		name := fmt.Sprintf("p%d", random.Intn(10))
		if random.Intn(3) == 0 {
			s.write(resource.Pods.Key("default", name), nil)
		} else {
			s.put(resource.Pods, pod(name, fmt.Sprintf("n%d", 1+random.Intn(2))))
		}
		s.put(resource.ConfigMaps, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("config-p%d", random.Intn(10))},
			Data:       map[string]string{"k": fmt.Sprint(random.Intn(3)), "l": "m", "n": "o"},
		})
		s.sends()
	}
	other := NewBook(message.Epoch{Start: 5}, message.Settings{HeartbeatMillis: 1000}, message.NewPacker())
	if err := other.Reset(s.store.View()); err != nil {
		t.Fatal(err)
	}
	if touched := other.Touched(); len(touched) != 0 {
		t.Errorf("a fresh Book would send documents to %v", touched)
	}
	for _, node := range []string{"n1", "n2"} {
		if _, _, err := other.Update(s.store.View(), node, false); err != nil {
			t.Fatal(err)
		}
		if old, updated := s.book.Head(node), other.Head(node); old.Digest != updated.Digest || updated.Position.Serial != 1 {
			t.Errorf("%s: %v became %v", node, old, updated)
		}
	}
	if err := s.book.Reset(s.store.View()); err != nil {
		t.Fatal(err)
	}
	s.expect("the Book started over")
}

// A document that can't be sent leaves the newest one what it was.
func TestTooBigKeepsTheLast(t *testing.T) {
	s := newState(t)
	s.put(resource.Pods, pod("a", "n1"))
	s.sends()
	before := s.book.Head("n1")
	noise := make([]byte, 600<<10)
	rand.New(rand.NewSource(1)).Read(noise)
	s.put(resource.ConfigMaps, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "config-a"}, BinaryData: map[string][]byte{"k": noise},
	})
	_, send, err := s.book.Update(s.store.View(), "n1", true)
	if send || !errors.Is(err, message.ErrTooBig) {
		t.Errorf("Update = %t, %v", send, err)
	}
	if after := s.book.Head("n1"); after != before {
		t.Errorf("the head is %v, was %v", after, before)
	}
}

// The label of a metered link doubles the times in a node's document. A node knows that it is gone when it has applied
// a document that was written without it, in this epoch.
func TestMeteredLinks(t *testing.T) {
	s := newState(t)
	label := func(link string) {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{resource.LabelLink: link}}}
		s.put(resource.Nodes, n)
	}
	update := func() (message.Position, uint32) {
		t.Helper()
		s.sends()
		content, _, err := s.book.content(s.store.View(), "n1")
		if err != nil {
			t.Fatal(err)
		}
		return s.book.Head("n1").Position, content.Settings.HeartbeatMillis
	}
	knows := func(what string, p message.Position, want bool) {
		t.Helper()
		if got := s.book.Unmetered("n1", p); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	usual, millis := update()
	if millis != 1000 {
		t.Errorf("without the label: %d ms", millis)
	}
	knows("without the label", usual, true)
	label(resource.LinkMetered)
	slow, millis := update()
	if millis != 2000 || !usual.Less(slow) {
		t.Errorf("with the label: %d ms, %s after %s", millis, slow, usual)
	}
	knows("with the label", slow, false)
	label("good")
	knows("before the document is written", slow, false)
	again, _ := update()
	knows("the document before", slow, false)
	knows("the one before that", usual, false)
	knows("the document without it", again, true)
	again.Epoch.Start++
	knows("of another epoch", again, false)
	knows("nothing applied", message.Position{}, false)
}

// The masters' brokers are part of what each node is told, and a change of them is a new document for each.
func TestBrokersAreTold(t *testing.T) {
	s := newState(t)
	s.expect("the nodes joined", "n1 1: 0+0", "n2 1: 0+0")
	s.book.SetBrokers([]string{"mqtts://a:8883", "mqtts://b:8883"})
	s.expect("a second master came", "n1 2: 0+0", "n2 2: 0+0")
	s.book.SetBrokers([]string{"mqtts://a:8883", "mqtts://b:8883"})
	s.expect("nothing changed")
	doc, _, err := s.book.Update(s.store.View(), "n1", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, content, err := doc.Unpack(); err != nil || len(content.Settings.Brokers) != 2 {
		t.Errorf("n1 is told %+v, %v", content.Settings, err)
	}
}
