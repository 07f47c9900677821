package scheduler

import (
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config of a Scheduler.
type Config struct {
	// Batch is the most pods that one plan decides about; 0 means DefaultBatch.
	Batch int
}

// DefaultBatch keeps a plan below some megabytes.
const DefaultBatch = 1024

// groupSize is how many decisions share one commit, and so one sync of the disk.
const groupSize = 32

// component is the name in Events, the one that kubectl's users know.
const component = "default-scheduler"

// Scheduler is the Planner; see the package's comment.
type Scheduler struct {
	batch   int
	cluster *cluster
	queue   *queue
	needs   *requirements
	better  bool // something changed that pods in the queue may have waited for
}

// New returns a Scheduler that knows nothing until Reset.
func New(config Config) *Scheduler {
	if config.Batch <= 0 {
		config.Batch = DefaultBatch
	}
	s := &Scheduler{batch: config.Batch}
	s.forget()
	return s
}

func (s *Scheduler) forget() {
	s.cluster, s.queue, s.needs, s.better = newCluster(), newQueue(), newRequirements(), false
}

// Name is the planner's name.
func (s *Scheduler) Name() string { return "scheduler" }

// Kinds are the kinds that it follows.
func (s *Scheduler) Kinds() []change.Kind {
	return []change.Kind{resource.Nodes.Kind, resource.Pods.Kind}
}

// Reset rebuilds the projection.
func (s *Scheduler) Reset(view change.View) {
	s.forget()
	for _, kind := range s.Kinds() {
		for rec := range view.List(kind, "") {
			s.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
		}
	}
}

// Observe follows one write.
func (s *Scheduler) Observe(e change.Event) {
	switch e.Key.Kind {
	case resource.Nodes.Kind:
		s.observeNode(e)
	case resource.Pods.Kind:
		s.observePod(e)
	}
}

func (s *Scheduler) observeNode(e change.Event) {
	var object corev1.Node
	if !e.New.Exists() || object.Unmarshal(e.New.Value) != nil {
		s.cluster.removeNode(e.Key.Name)
		// The reasons that waiting pods were given have changed.
		s.better = true
		return
	}
	if s.cluster.setNode(&object) {
		s.better = true
	}
}

func (s *Scheduler) observePod(e change.Event) {
	if e.New.Exists() && s.observeKnown(e.Key, e.New.Value) {
		return
	}
	var pod corev1.Pod
	if !e.New.Exists() || pod.Unmarshal(e.New.Value) != nil || resource.Ended(&pod) {
		s.queue.remove(e.Key)
		s.release(e.Key)
		return
	}
	needs, owner := s.needs.of(&pod), ownerOf(&pod)
	if pod.Spec.NodeName != "" {
		s.hold(e.Key, holding{uid: pod.UID, node: s.cluster.node(pod.Spec.NodeName), needs: needs, owner: owner})
		return
	}
	s.release(e.Key)
	if !wanted(&pod) {
		s.queue.remove(e.Key)
		return
	}
	p := &pending{
		key: e.Key, uid: pod.UID, created: pod.CreationTimestamp.Unix(),
		owner: owner, where: hash(string(pod.UID)), needs: needs,
	}
	if c := resource.PodCondition(&pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		p.told = c.Message
	}
	s.queue.put(p)
}

// observeKnown takes over a binding or a status of a pod whose needs are known, without decoding it: what a pod
// asks of a node never changes. Most writes to pods are of this sort.
func (s *Scheduler) observeKnown(key change.Key, value []byte) bool {
	node := resource.PodNodeName(value)
	if phase := resource.PodPhase(value); node == "" || phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		return false
	}
	h := holding{uid: resource.PodUID(value)}
	if p := s.queue.all[key]; p != nil && p.uid == h.uid {
		h.needs, h.owner = p.needs, p.owner
	} else if before, held := s.cluster.pods[key]; held && before.uid == h.uid {
		h.needs, h.owner = before.needs, before.owner
	} else {
		return false
	}
	h.node = s.cluster.node(node)
	s.hold(key, h)
	return true
}

// hold notes that a pod is on a node.
func (s *Scheduler) hold(key change.Key, h holding) {
	s.queue.remove(key)
	if s.cluster.pods[key] != h {
		s.release(key)
		h.node = s.cluster.node(h.node.name) // releasing may have dropped the stand-in of a node to come
		s.cluster.hold(key, h)
	}
}

// release ends what a pod holds: another may have waited for it.
func (s *Scheduler) release(key change.Key) {
	if s.cluster.free(key) {
		s.better = true
	}
}

// wanted reports whether a pod without a node is one for this scheduler to place.
func wanted(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Spec.NodeName != "" {
		return false
	}
	return pod.Spec.SchedulerName == "" || pod.Spec.SchedulerName == corev1.DefaultSchedulerName
}

// Plan binds pending pods and explains those that no node takes.
func (s *Scheduler) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	if s.better {
		s.queue.wake()
		s.better = false
	}
	plan := &planner{Scheduler: s, view: view, now: now, failed: map[*requirement]string{}, next: clock.Never}
	plan.run()
	plan.undo()
	return plan.groups, plan.next
}

// ownerOf is a number that pods of one controller share; 0 for a pod without one.
func ownerOf(pod *corev1.Pod) uint32 {
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return hash(string(ref.UID)) | 1
	}
	return 0
}

func hash(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}
