package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// A pod that is bound reaches its node, runs, is reported, and goes when the node says that nothing is left.
func TestAPodsWay(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(time.Second)
	w.bind("a", "u1", "n1")
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	equal(t, "the store shows", w.pods("n1"), "a/u1 Running")
	if resource.PodCondition(w.pod("a"), corev1.PodScheduled) == nil {
		t.Error("the scheduler's condition is gone")
	}
	now := metav1.NewTime(w.now.Wall)
	w.editPod("a", func(p *corev1.Pod) { p.DeletionTimestamp = &now })
	w.advance(time.Second)
	equal(t, "the store shows", w.pods("n1"), "")
	equal(t, "the node runs", n.pods(), "")
}

// ConfigMaps travel with the pods that name them, and a change of one reaches the node.
func TestConfigMapsTravel(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}, Data: map[string]string{"k": "1"}}
	w.put(resource.ConfigMaps, config)
	w.put(resource.ConfigMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}})
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "c"},
		}}}
	})
	value := func() string {
		content, err := message.Decode[message.Content](n.disk.content)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, encoded := range content.ConfigMaps {
			c := corev1.ConfigMap{}
			if err := c.Unmarshal(encoded); err != nil {
				t.Fatal(err)
			}
			all = append(all, c.Name+"="+c.Data["k"])
		}
		return strings.Join(all, ",")
	}
	w.advance(2 * time.Second)
	equal(t, "ConfigMaps", value(), "c=1")
	config.Data["k"] = "2"
	w.put(resource.ConfigMaps, config)
	w.advance(time.Second)
	equal(t, "ConfigMaps", value(), "c=2")
}

// That a broker forgets what it retained, or that an agent starts without a master, never stops a pod.
func TestNothingRetainedMeansNothing(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	w.line.Lose()
	w.bus.Restart()
	n.start()
	w.advance(10 * time.Minute)
	equal(t, "without a master the node runs", n.pods(), "a/u1 Running")
	equal(t, "answered", n.link.Health().Answered, false)
	w.startMaster()
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	equal(t, "documents written", n.disk.documents, 2) // the empty one of its join, and this
}

// A desired state that does not fit into a message leaves the last one in place, with an event that says so.
func TestTooBig(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	noise := make([]byte, 600<<10)
	w.random.Read(noise)
	w.put(resource.ConfigMaps, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "big"}, BinaryData: map[string][]byte{"k": noise},
	})
	w.bind("b", "u2", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "big"},
		}}}
	})
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	var reasons []string
	for rec := range w.store.View().List(resource.Events.Kind, "") {
		e, err := resource.As[*corev1.Event](resource.Events, rec)
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, e.InvolvedObject.Name+" "+e.Reason)
	}
	equal(t, "events", slices.Compact(reasons), []string{"n1 DesiredStateTooBig"})
	w.commit(change.Change{Key: resource.Pods.Key("default", "b")})
	w.bind("c", "u3", "n1")
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running, c/u3 Running")
}

// A desired state that does not fit is said once for each change, whatever its node sends: also to a master that
// has restarted, and so has no older document of its own.
func TestTooBigIsSaidOnce(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "big"}}
	grow := func() {
		noise := make([]byte, 600<<10)
		w.random.Read(noise)
		config.BinaryData = map[string][]byte{"k": noise}
		w.put(resource.ConfigMaps, config)
	}
	grow()
	w.bind("b", "u2", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "big"},
		}}}
	})
	said := func() (count int32) {
		for rec := range w.store.View().List(resource.Events.Kind, "") {
			e, err := resource.As[*corev1.Event](resource.Events, rec)
			if err != nil {
				t.Fatal(err)
			}
			count += e.Count
		}
		return count
	}
	n.restart() // its hello asks for a document
	w.advance(5 * time.Minute)
	equal(t, "times said", said(), 1)
	w.restartMaster()
	w.advance(5 * time.Minute)
	equal(t, "times said after a restart of the master", said(), 2)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	grow()
	w.advance(time.Minute)
	equal(t, "times said after another change", said(), 3)
	config.BinaryData = nil
	w.put(resource.ConfigMaps, config)
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running, b/u2 Running")
}
