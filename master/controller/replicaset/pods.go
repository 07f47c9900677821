package replicaset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// pod is what the controller knows of one pod.
type pod struct {
	key      change.Key
	uid      types.UID
	owner    types.UID // of its controller, or empty
	labels   labels.Set
	node     string
	phase    corev1.PodPhase
	deleting bool
	single   bool  // it must have ended before another one takes its place
	created  int64 // Unix seconds
	restarts int32
	cost     int32

	ready      bool
	readySince int64     // Unix seconds, as the agent says
	readyFrom  clock.Now // as the master counts; see pods.readyFor
	counted    bool      // readyFrom is set
	old        bool      // it was there when the planner started
}

// active reports whether a pod counts as a replica.
func (p *pod) active() bool {
	return !p.deleting && p.phase != corev1.PodSucceeded && p.phase != corev1.PodFailed
}

// ending reports whether a pod that counts no more may still run, and must have ended before another one runs.
func (p *pod) ending() bool {
	return p.single && p.deleting && p.phase != corev1.PodSucceeded && p.phase != corev1.PodFailed
}

// sameOrphan reports whether a write to a pod that nobody owns matters to no set: a status, mostly.
func (p *pod) sameOrphan(q *pod) bool {
	return p != nil && q != nil && p.owner == "" && q.owner == "" && p.uid == q.uid &&
		p.active() == q.active() && maps.Equal(p.labels, q.labels)
}

// pods is the projection of all pods.
type pods struct {
	byKey   map[change.Key]*pod
	byOwner map[types.UID]map[change.Key]*pod
	orphans map[string]map[change.Key]*pod // by namespace
	sets    map[string]labels.Set          // pods of one template share their labels
}

func newPods() *pods {
	return &pods{
		byKey:   map[change.Key]*pod{},
		byOwner: map[types.UID]map[change.Key]*pod{},
		orphans: map[string]map[change.Key]*pod{},
		sets:    map[string]labels.Set{},
	}
}

// observe takes over a write and returns the pod before and after it; nil for none.
func (s *pods) observe(e change.Event, starting bool) (before, after *pod) {
	before = s.byKey[e.Key]
	if before != nil {
		delete(s.byKey, e.Key)
		drop(s.byOwner, before.owner, e.Key)
		drop(s.orphans, e.Key.Namespace, e.Key)
	}
	var object corev1.Pod
	if !e.New.Exists() || object.Unmarshal(e.New.Value) != nil {
		return before, nil
	}
	after = s.read(e.Key, &object)
	after.old = starting
	if before != nil && before.uid == after.uid && before.ready && after.ready {
		after.old, after.counted, after.readyFrom = before.old, before.counted, before.readyFrom
	}
	s.byKey[e.Key] = after
	if after.owner != "" {
		put(s.byOwner, after.owner, after)
	} else {
		put(s.orphans, e.Key.Namespace, after)
	}
	return before, after
}

func put[K comparable](index map[K]map[change.Key]*pod, at K, p *pod) {
	if index[at] == nil {
		index[at] = map[change.Key]*pod{}
	}
	index[at][p.key] = p
}

func drop[K comparable](index map[K]map[change.Key]*pod, at K, key change.Key) {
	delete(index[at], key)
	if len(index[at]) == 0 {
		delete(index, at)
	}
}

func (s *pods) read(key change.Key, object *corev1.Pod) *pod {
	p := &pod{
		key: key, uid: object.UID, labels: s.shared(object.Labels), node: object.Spec.NodeName,
		phase: object.Status.Phase, deleting: object.DeletionTimestamp != nil, single: shared.Single(object),
		created: object.CreationTimestamp.Unix(),
	}
	if ref := metav1.GetControllerOfNoCopy(object); ref != nil {
		p.owner = ref.UID
	}
	if c := resource.PodCondition(object, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		p.ready, p.readySince = true, c.LastTransitionTime.Unix()
	}
	for _, c := range object.Status.ContainerStatuses {
		p.restarts = max(p.restarts, c.RestartCount)
	}
	if n, err := strconv.ParseInt(object.Annotations[corev1.PodDeletionCost], 10, 32); err == nil {
		p.cost = int32(n)
	}
	return p
}

// maxSets bounds the table of shared labels; beyond it the table starts anew.
const maxSets = 4096

func (s *pods) shared(set labels.Set) labels.Set {
	var key strings.Builder
	for _, k := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&key, "%q=%q,", k, set[k])
	}
	if known, ok := s.sets[key.String()]; ok {
		return known
	}
	if len(s.sets) >= maxSets {
		clear(s.sets)
	}
	s.sets[key.String()] = set
	return set
}

// ownedBy is the pods that a controller owns, by name.
func (s *pods) ownedBy(owner types.UID) []*pod {
	out := make([]*pod, 0, len(s.byOwner[owner]))
	for _, p := range s.byOwner[owner] {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pod) int { return byKey(a.key, b.key) })
	return out
}

// readyFor is how long a pod has been ready. It counts on the boot clock from when the master first saw it
// ready; for a pod that was ready when the planner started, the wall clock has the only answer.
func (p *pod) readyFor(now clock.Now) time.Duration {
	if !p.ready {
		return 0
	}
	if !p.counted {
		p.counted, p.readyFrom = true, now
		if age := now.Wall.Sub(time.Unix(p.readySince, 0)); p.old && age > 0 {
			p.readyFrom = now.Add(-age)
		}
	}
	return now.Since(p.readyFrom)
}
