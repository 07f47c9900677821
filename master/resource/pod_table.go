package resource

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReasonNodeLost is the status.reason of a pod whose node is out of reach.
const ReasonNodeLost = "NodeLost"

var podColumns = []metav1.TableColumnDefinition{
	nameColumn,
	column("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."),
	column("Status", "string", "The aggregate status of the containers in this pod."),
	column("Restarts", "string", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
	ageColumn,
	wide(column("IP", "string", corev1.PodStatus{}.SwaggerDoc()["podIP"])),
	wide(column("Node", "string", corev1.PodSpec{}.SwaggerDoc()["nodeName"])),
	wide(column("Nominated Node", "string", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"])),
	wide(column("Readiness Gates", "string", corev1.PodSpec{}.SwaggerDoc()["readinessGates"])),
}

func podRow(p *corev1.Pod, now time.Time) []any {
	s := summarize(p)
	restarted := strconv.Itoa(s.count)
	if s.count != 0 && !s.last.IsZero() {
		restarted = fmt.Sprintf("%d (%s ago)", s.count, age(s.last, now))
	}
	var ip string
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return []any{
		p.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, restarted, age(p.CreationTimestamp, now),
		orNone(ip), orNone(p.Spec.NodeName), orNone(p.Status.NominatedNodeName), readinessGates(p),
	}
}

// podSummary is what the table says of all containers together.
type podSummary struct {
	ready, total int
	status       string
	restarts
}

// restarts is how often containers were started again, and when one last ended before that.
type restarts struct {
	count int
	last  metav1.Time
}

func (r *restarts) add(c *corev1.ContainerStatus) {
	r.count += int(c.RestartCount)
	if ended := c.LastTerminationState.Terminated; ended != nil && r.last.Before(&ended.FinishedAt) {
		r.last = ended.FinishedAt
	}
}

// summarize follows printPod of Kubernetes (pkg/printers/internalversion/printers.go): the last word has the
// first container that something is wrong with; before that come init containers that are not done.
func summarize(p *corev1.Pod) podSummary {
	s := podSummary{total: len(p.Spec.Containers), status: string(p.Status.Phase)}
	if p.Status.Reason != "" {
		s.status = p.Status.Reason
	}
	if c := PodCondition(p, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		s.status = corev1.PodReasonSchedulingGated
	}

	initializing, sidecars := s.initContainers(p)
	if c := PodCondition(p, corev1.PodInitialized); !initializing || c != nil && c.Status == corev1.ConditionTrue {
		// Init containers are done with: only those that go on as sidecars still count.
		s.restarts = sidecars
		s.containers(p)
	}

	switch {
	case Ended(p):
	case p.Status.Reason == ReasonNodeLost:
		s.status = "Unknown"
	case p.DeletionTimestamp != nil:
		s.status = "Terminating"
	}
	return s
}

// initContainers says how far initialization is, whether it is still going on, and how often those that stay, the
// sidecars, were restarted.
func (s *podSummary) initContainers(p *corev1.Pod) (initializing bool, sidecars restarts) {
	sidecar := sidecarNames(p)
	s.total += len(sidecar)
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.add(c)
		if sidecar[c.Name] {
			sidecars.add(c)
		}
		switch ended, waiting := c.State.Terminated, c.State.Waiting; {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecar[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil && ended.Reason != "":
			s.status = "Init:" + ended.Reason
		case ended != nil && ended.Signal != 0:
			s.status = fmt.Sprintf("Init:Signal:%d", ended.Signal)
		case ended != nil:
			s.status = fmt.Sprintf("Init:ExitCode:%d", ended.ExitCode)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.status = "Init:" + waiting.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true, sidecars
	}
	return false, sidecars
}

// containers counts the containers proper; the first one that waits or has ended gives the status.
func (s *podSummary) containers(p *corev1.Pod) {
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.add(c)
		switch ended, waiting := c.State.Terminated, c.State.Waiting; {
		case waiting != nil && waiting.Reason != "":
			s.status = waiting.Reason
		case ended != nil && ended.Reason != "":
			s.status = ended.Reason
		case ended != nil && ended.Signal != 0:
			s.status = fmt.Sprintf("Signal:%d", ended.Signal)
		case ended != nil:
			s.status = fmt.Sprintf("ExitCode:%d", ended.ExitCode)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.status == "Completed" && running {
		s.status = "NotReady"
		if c := PodCondition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
			s.status = "Running"
		}
	}
}

// sidecarNames are the init containers with restartPolicy Always.
func sidecarNames(p *corev1.Pod) map[string]bool {
	names := map[string]bool{}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			names[c.Name] = true
		}
	}
	return names
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	met := 0
	for _, gate := range p.Spec.ReadinessGates {
		if c := PodCondition(p, gate.ConditionType); c != nil && c.Status == corev1.ConditionTrue {
			met++
		}
	}
	return fmt.Sprintf("%d/%d", met, len(p.Spec.ReadinessGates))
}
