package replicaset

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// sync is the work on one ReplicaSet in one plan.
type sync struct {
	*Controller
	view   change.View
	now    clock.Now
	rs     *appsv1.ReplicaSet
	rec    change.Record
	groups []*resource.Group
	group  *resource.Group
	size   int // pods in group
	again  clock.Now
	// adopted: a pod is changed once a plan, so the next one deletes what is too many.
	adopted bool
	named   map[string]bool             // names given to new pods
	problem *appsv1.ReplicaSetCondition // a new one
}

func (s *sync) run() {
	s.again = clock.Never
	active := s.claim()
	created, deleted, failed := 0, map[*pod]bool{}, false
	if s.rs.DeletionTimestamp == nil {
		missing := s.wanted() - len(active)
		if ending := s.ending(); missing > 0 && ending > 0 {
			s.held[s.rec.Key] = true
			missing = max(0, missing-ending)
		}
		switch {
		case missing > 0:
			home, namespace := s.home()
			why := s.forbidden(namespace)
			switch {
			case namespace.DeletionTimestamp != nil: // it is being emptied
			case why != "":
				failed = true
				s.fail(why)
			default:
				created = min(missing, s.burst)
				s.create(created, len(active), home)
			}
		case missing < 0 && !s.adopted:
			deleted = s.delete(active, min(-missing, s.burst))
		}
	}
	left := active[:0:0]
	for _, p := range active {
		if !deleted[p] {
			left = append(left, p)
		}
	}
	s.status(left, created, failed)
	s.flush()
}

// ending is how many pods, of this set and of the others of its Deployment, must have ended before as many new ones run.
func (s *sync) ending() (n int) {
	if s.rs.Spec.Template.Annotations[resource.PartitionPolicy] != resource.PolicyStop {
		return 0
	}
	for _, p := range s.related() {
		if p.ending() {
			n++
		}
	}
	return n
}

func (s *sync) wanted() int {
	if s.rs.Spec.Replicas == nil {
		return 1
	}
	return int(*s.rs.Spec.Replicas)
}

// claim adopts and releases pods, and returns those that count as replicas, by name.
func (s *sync) claim() []*pod {
	selector := s.sets[s.rec.Key].selector
	var active []*pod
	for _, p := range s.pods.ownedBy(s.rs.UID) {
		switch {
		case p.key.Namespace != s.rs.Namespace || !p.active():
		case selector.Matches(p.labels):
			active = append(active, p)
		case s.rs.DeletionTimestamp == nil:
			s.release(p)
		}
	}
	if s.rs.DeletionTimestamp != nil {
		return active
	}
	offers := s.adoptable[s.rec.Key]
	for _, key := range slices.SortedFunc(maps.Keys(offers), byKey) {
		p := s.pods.byKey[key]
		if p == nil || p.owner != "" || !p.active() || !selector.Matches(p.labels) {
			delete(offers, key)
		} else if s.adopt(p) {
			active = append(active, p)
		}
	}
	return active
}

func (s *sync) adopt(p *pod) bool {
	object, rec, ok := s.readPod(p)
	if !ok || metav1.GetControllerOfNoCopy(object) != nil {
		return false
	}
	object.OwnerReferences = append(object.OwnerReferences, *s.owner())
	s.open().Put(resource.Pods, object, rec.Rev, "the selector of replica set "+s.rs.Name+" matches this orphan")
	s.close()
	s.adopted = true
	return true
}

func (s *sync) release(p *pod) {
	object, rec, ok := s.readPod(p)
	if !ok {
		return
	}
	kept := object.OwnerReferences[:0]
	for _, ref := range object.OwnerReferences {
		if ref.UID != s.rs.UID {
			kept = append(kept, ref)
		}
	}
	object.OwnerReferences = kept
	s.open().Put(resource.Pods, object, rec.Rev, "the selector of replica set "+s.rs.Name+" no longer matches")
	s.close()
}

// create makes n pods, in the namespace that let them in.
func (s *sync) create(n, have int, home change.Record) {
	for i := range n {
		p := s.newPod(i)
		g := s.open()
		if home.Exists() {
			g.Hold(home)
		}
		g.Put(resource.Pods, p, 0, fmt.Sprintf("replica %d of %d is missing", have+i+1, s.wanted()))
		g.Record(s.occurrence("SuccessfulCreate", "Created pod: "+p.Name))
		s.close()
	}
}

// longestPrefix is how much of a set's name its pods' names keep (apiserver, names.SimpleNameGenerator).
const longestPrefix = 63 - 5

// newPod is the pod that the template asks for. Its name and uid follow from the set, the view's revision and
// the ordinal: together they never come twice.
func (s *sync) newPod(ordinal int) *corev1.Pod {
	t := s.rs.Spec.Template.DeepCopy()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         s.rs.Namespace,
			GenerateName:      s.rs.Name + "-",
			CreationTimestamp: s.stamp(),
			Labels:            t.Labels,
			Annotations:       t.Annotations,
			Finalizers:        t.Finalizers,
			OwnerReferences:   []metav1.OwnerReference{*s.owner()},
		},
		Spec: t.Spec,
	}
	seed := fmt.Sprintf("%s %s %d", s.rs.UID, s.view.Rev(), ordinal)
	p.UID = resource.DeriveUID(seed)
	prefix := p.GenerateName[:min(len(p.GenerateName), longestPrefix)]
	for {
		p.Name = prefix + resource.NameSuffix(seed)
		if _, taken := s.view.Get(resource.Pods.Key(p.Namespace, p.Name)); !taken && !s.named[p.Name] {
			break
		}
		seed += "'"
	}
	if s.named == nil {
		s.named = map[string]bool{}
	}
	s.named[p.Name] = true
	resource.Pods.Default(p)
	resource.Pods.PrepareCreate(p)
	return p
}

// stamp is the time as people read it.
func (s *sync) stamp() metav1.Time { return metav1.NewTime(s.now.Wall.Truncate(time.Second)) }

func (s *sync) owner() *metav1.OwnerReference {
	return metav1.NewControllerRef(s.rs, resource.ReplicaSets.GVK)
}

// delete ends the n most expendable pods.
func (s *sync) delete(active []*pod, n int) map[*pod]bool {
	crowd := map[string]int{}
	for _, p := range s.related() {
		if p.active() {
			crowd[p.node]++
		}
	}
	order := append([]*pod(nil), active...)
	expendable(order, crowd)
	deleted := map[*pod]bool{}
	for _, p := range order[:n] {
		object, rec, ok := s.readPod(p)
		if !ok {
			continue // it is gone already
		}
		g := s.open()
		if g.Delete(resource.Pods, object, rec.Rev, fmt.Sprintf("%d replicas are too many for %d", len(active), s.wanted())) {
			g.Record(s.occurrence("SuccessfulDelete", "Deleted pod: "+p.key.Name))
		}
		s.close()
		deleted[p] = true
	}
	return deleted
}

// related are the pods of this set and of the others of the same Deployment.
func (s *sync) related() []*pod {
	out := s.pods.ownedBy(s.rs.UID)
	ref := metav1.GetControllerOfNoCopy(s.rs)
	if ref == nil {
		return out
	}
	for rec := range s.view.Indexed(resource.ReplicaSets.Kind, resource.OwnerIndex, string(ref.UID)) {
		if sibling := s.sets[rec.Key]; sibling.uid != s.rs.UID && sibling.uid != "" {
			out = append(out, s.pods.ownedBy(sibling.uid)...)
		}
	}
	return out
}

// status writes the set's status as it is after the plan; failed says that pods could not be created.
func (s *sync) status(active []*pod, created int, failed bool) {
	template := labels.SelectorFromSet(s.rs.Spec.Template.Labels)
	status := appsv1.ReplicaSetStatus{
		Replicas:             int32(len(active) + created),
		FullyLabeledReplicas: int32(created),
		ObservedGeneration:   s.rs.Generation,
		Conditions:           s.conditions(failed),
	}
	wait := time.Duration(s.rs.Spec.MinReadySeconds) * time.Second
	for _, p := range active {
		if template.Matches(p.labels) {
			status.FullyLabeledReplicas++
		}
		if !p.ready {
			continue
		}
		status.ReadyReplicas++
		if left := wait - p.readyFor(s.now); left > 0 {
			s.again = clock.Earliest(s.again, s.now.Add(left))
			continue
		}
		status.AvailableReplicas++
	}
	if equality.Semantic.DeepEqual(status, s.rs.Status) {
		return
	}
	updated := s.rs.DeepCopy()
	updated.Status = status
	// By itself, last: a write of a user to the set must not cost the pods.
	s.flush()
	s.open().Put(resource.ReplicaSets, updated, s.rec.Rev, fmt.Sprintf(
		"%d replicas, %d ready, %d available", status.Replicas, status.ReadyReplicas, status.AvailableReplicas))
	s.close()
}

func (s *sync) readPod(p *pod) (*corev1.Pod, change.Record, bool) {
	rec, ok := s.view.Get(p.key)
	if !ok {
		return nil, rec, false
	}
	object, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil || object.UID != p.uid {
		return nil, rec, false
	}
	return object, rec, true
}

func (s *sync) occurrence(reason, message string) resource.Occurrence {
	return resource.Occurrence{
		About:     resource.ReplicaSets.Reference(s.rs.Namespace, s.rs.Name, s.rs.UID),
		Type:      corev1.EventTypeNormal,
		Reason:    reason,
		Message:   message,
		Component: component,
	}
}

// open is the group to write into; close counts one more pod in it.
func (s *sync) open() *resource.Group {
	if s.group == nil {
		s.group = resource.NewGroup(s.view, s.now.Wall)
	}
	return s.group
}

func (s *sync) close() {
	if s.size++; s.size >= groupSize {
		s.flush()
	}
}

func (s *sync) flush() {
	if s.group != nil && s.group.Len() > 0 {
		s.groups = append(s.groups, s.group)
	}
	s.group, s.size = nil, 0
}
