package node

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// groupSize is how many changes share one commit, about.
const groupSize = 64

// task is the work on one node in one plan.
type task struct {
	*Controller
	view   change.View
	now    clock.Now
	node   *node
	group  *resource.Group
	groups [][]change.Change
}

func (t *task) run() {
	rec, ok := t.view.Get(resource.Nodes.Key("", t.node.name))
	if !ok {
		return
	}
	object, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil || object.UID != t.node.uid {
		return
	}
	changed, returned := t.update(object)
	if changed {
		t.open().Put(resource.Nodes, object, rec.Rev, t.node.state.String())
	}
	t.node.again = clock.Never
	taints := noExecute(object)
	if returned || len(taints) > 0 || t.node.state == lost {
		t.pods(taints, returned)
	}
	t.flush()
}

func noExecute(object *corev1.Node) []corev1.Taint {
	return slices.DeleteFunc(slices.Clone(object.Spec.Taints), func(t corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectNoExecute
	})
}

// pods deals with each pod of a node that is lost, tainted or back.
func (t *task) pods(taints []corev1.Taint, returned bool) {
	for rec := range t.view.Indexed(resource.Pods.Kind, "spec.nodeName", t.node.name) {
		pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
		if err != nil || resource.Ended(pod) {
			continue
		}
		gone := t.node.state == lost
		switch due := t.due(pod, taints); {
		case pod.DeletionTimestamp != nil && gone && t.permitted(pod):
			t.ready(pod, rec, gone, returned, stay{why: becausePermitted, tell: true})
		case pod.DeletionTimestamp != nil && gone:
			// Nobody is left to say that it has ended.
			t.open().DeleteNow(resource.Pods, pod, rec.Rev, "it was being deleted and its node is lost")
		case pod.DeletionTimestamp != nil:
		case !t.now.Reached(due):
			t.node.again = clock.Earliest(t.node.again, due)
			t.ready(pod, rec, gone, returned, t.bears(due))
		case t.blind() || t.node.state == fresh:
			// A node that can't be heard, or was lost before this master's start, has its time to return.
		case !gone:
			t.tell(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod "+pod.Namespace+"/"+pod.Name)
			t.open().Delete(resource.Pods, pod, rec.Rev, "a taint of its node evicts it")
		case t.holds(t.node):
			t.ready(pod, rec, gone, returned, stay{why: becausePaused})
		default:
			if why := t.replace(pod, rec); why != "" {
				t.ready(pod, rec, gone, returned, stay{why: why, tell: true})
			}
		}
		if t.group != nil && t.group.Len() >= groupSize {
			t.flush()
		}
	}
}

// due is when a pod's tolerations of the taints end: now or before for one that bears a taint not at all, never
// for one that bears all for good. As in Kubernetes the first toleration that bears a taint decides, and the taint
// that is borne for the shortest time.
func (t *task) due(pod *corev1.Pod, taints []corev1.Taint) clock.Now {
	due := clock.Never
	for i := range taints {
		taint := &taints[i]
		j := slices.IndexFunc(pod.Spec.Tolerations, func(o corev1.Toleration) bool { return resource.Tolerates(&o, taint) })
		if j < 0 {
			return clock.Now{}
		}
		if seconds := pod.Spec.Tolerations[j].TolerationSeconds; seconds != nil {
			due = clock.Earliest(due, t.tainted(taint).Add(time.Duration(max(*seconds, 0))*time.Second))
		}
	}
	return due
}

// tainted is when this planner first saw a taint.
func (t *task) tainted(taint *corev1.Taint) clock.Now {
	if taint.Key == corev1.TaintNodeUnreachable && t.node.state == lost {
		return t.node.lostAt
	}
	key := taintKey{taint.Key, taint.Value}
	if at, ok := t.node.taintedAt[key]; ok {
		return at
	}
	t.node.taintedAt[key] = t.now
	return t.now
}

// replace lets a pod of a lost node run elsewhere, or ends it, or says why it has to stay.
func (t *task) replace(pod *corev1.Pod, rec change.Record) (why string) {
	switch pinned := pod.Annotations[resource.AnnotationScheduled] != "true"; {
	case pinned, shared.Single(pod) && shared.Pinned(pod):
		return becausePinned
	case t.permitted(pod):
		return becausePermitted
	case !t.elsewhere(pod):
		return becauseNowhere
	}
	where := "Node " + t.node.name + " which was running pod " + pod.Name + " is unresponsive"
	switch {
	case metav1.GetControllerOfNoCopy(pod) != nil:
		t.tell(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod "+pod.Namespace+"/"+pod.Name)
		t.open().DeleteNow(resource.Pods, pod, rec.Rev, reasonReplaced)
	case pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		t.tell(pod, corev1.EventTypeWarning, "NodeLost", where)
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, "NodeLost", where
		t.open().Put(resource.Pods, pod, rec.Rev, reasonFailed)
	default:
		t.tell(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Moving Pod "+pod.Namespace+"/"+pod.Name+" away from lost node "+t.node.name)
		t.open().Put(resource.Pods, t.successor(pod), rec.Rev, reasonMoved)
	}
	return ""
}

// permitted reports whether the pod, which must be single, may still run on its lost node: its last permit has not surely
// ended. The end of its slot's record calls again.
func (t *task) permitted(pod *corev1.Pod) bool {
	return shared.Single(pod) && !shared.Pinned(pod) && t.slots[pod.UID] != ""
}

// elsewhere reports whether another node that is up could take the pod.
func (t *task) elsewhere(pod *corev1.Pod) bool {
	for _, n := range t.nodes {
		if n != t.node && n.takes(pod) {
			return true
		}
	}
	return false
}

// successor is the pod that takes a bare one's place and name. In the store it takes its record, too, so that
// at no revision there are two or none.
func (t *task) successor(pod *corev1.Pod) *corev1.Pod {
	next := pod.DeepCopy()
	next.UID = resource.DeriveUID(fmt.Sprintf("%s %s moved", pod.UID, t.view.Rev()))
	next.CreationTimestamp = *t.time()
	delete(next.Annotations, resource.AnnotationScheduled)
	next.Spec.NodeName = ""
	resource.Pods.PrepareCreate(next)
	return next
}

func (t *task) tell(pod *corev1.Pod, kind, reason, message string) {
	t.open().Record(resource.Occurrence{
		About: resource.Pods.Reference(pod.Namespace, pod.Name, pod.UID), Type: kind, Reason: reason, Message: message,
		Component: component,
	})
}

// open is the group to write into.
func (t *task) open() *resource.Group {
	if t.group == nil {
		t.group = resource.NewGroup(t.view, t.now.Wall)
	}
	return t.group
}

func (t *task) flush() {
	if t.group != nil && t.group.Len() > 0 {
		t.groups = append(t.groups, t.group.Changes())
	}
	t.group = nil
}

func (s state) String() string {
	return [...]string{"unjudged", "waits to be heard", "alive", "suspect", "lost"}[s]
}
