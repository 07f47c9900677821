package scheduler

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// planner is one Plan in the making.
type planner struct {
	*Scheduler
	view   change.View
	now    clock.Now
	groups [][]change.Change
	group  *resource.Group
	size   int // decisions in group
	failed map[*requirement]string
	taken  []change.Key // what the plan holds on top of the view
	wait   []*pending
	next   clock.Now
}

// tellAgain is how often, at most, a pod is told anew why it has no node: nodes that come and go must not
// wear out the disk.
const tellAgain = 30 * time.Second

func (p *planner) run() {
	decided := 0
	p.queue.active.Scan(func(pod *pending) bool {
		if decided >= p.batch {
			p.next = p.now // there are more
			return false
		}
		if p.decide(pod) {
			decided++
		}
		return true
	})
	for _, pod := range p.wait {
		p.queue.wait(pod)
	}
	p.flush()
}

// decide binds a pod or explains why not, and reports whether that is a write.
func (p *planner) decide(pod *pending) bool {
	why, failed := p.failed[pod.needs]
	if !failed {
		if n := p.cluster.find(pod.needs, pod.owner, pod.where); n != nil {
			return p.bind(pod, n)
		}
		// What one pod does not find, no later one with the same needs finds: room only shrinks here.
		why = p.cluster.explain(pod.needs)
		p.failed[pod.needs] = why
	}
	if pod.told == why {
		p.wait = append(p.wait, pod)
		return false
	}
	if pod.told != "" && !p.now.Reached(pod.again) {
		p.next = clock.Earliest(p.next, pod.again)
		return false
	}
	return p.reject(pod, why)
}

func (p *planner) bind(pending *pending, n *node) bool {
	pod, rec, ok := p.read(pending)
	if !ok {
		return false
	}
	pod.Spec.NodeName = n.name
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, resource.AnnotationScheduled, "true")
	resource.SetPodCondition(pod, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: p.time(),
	})
	message := fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, n.name)
	p.write(pod, rec, corev1.EventTypeNormal, "Scheduled", message)
	p.cluster.hold(pending.key, holding{uid: pending.uid, node: n, needs: pending.needs, owner: pending.owner})
	p.taken = append(p.taken, pending.key)
	return true
}

func (p *planner) reject(pending *pending, why string) bool {
	pod, rec, ok := p.read(pending)
	if !ok {
		return false
	}
	resource.SetPodCondition(pod, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, LastTransitionTime: p.time(),
		Reason: corev1.PodReasonUnschedulable, Message: why,
	})
	p.write(pod, rec, corev1.EventTypeWarning, "FailedScheduling", why)
	pending.again = p.now.Add(tellAgain)
	return true
}

// read is the pod as the view has it; not ok when it has changed since it was observed.
func (p *planner) read(pending *pending) (*corev1.Pod, change.Record, bool) {
	rec, ok := p.view.Get(pending.key)
	if !ok {
		return nil, rec, false
	}
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil || pod.UID != pending.uid || !wanted(pod) {
		return nil, rec, false
	}
	return pod, rec, true
}

func (p *planner) write(pod *corev1.Pod, rec change.Record, kind, reason, message string) {
	if p.group == nil {
		p.group = resource.NewGroup(p.view, p.now.Wall)
	}
	p.group.Put(resource.Pods, pod, rec.Rev, message)
	p.group.Record(resource.Occurrence{
		About:     resource.Pods.Reference(pod.Namespace, pod.Name, pod.UID),
		Type:      kind,
		Reason:    reason,
		Message:   message,
		Component: component,
	})
	if p.size++; p.size >= groupSize {
		p.flush()
	}
}

func (p *planner) flush() {
	if p.group != nil {
		p.groups = append(p.groups, p.group.Changes())
	}
	p.group, p.size = nil, 0
}

func (p *planner) time() metav1.Time { return metav1.NewTime(p.now.Wall.Truncate(time.Second)) }

// undo gives back what the plan took: only what is committed counts, and that comes back as events.
func (p *planner) undo() {
	for _, key := range p.taken {
		p.cluster.free(key)
	}
}
