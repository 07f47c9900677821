package plantest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Node is a node that is Ready and has room: "pi-1 cpu=4 memory=1Gi pods=10 disk=ssd". cpu, memory, pods and
// names under skerry.dev/ are resources, all else is a label; "notready" and "cordoned" say what they mean.
func Node(text string) *corev1.Node {
	fields := strings.Fields(text)
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fields[0], Labels: map[string]string{corev1.LabelHostname: fields[0]}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("1Gi"),
				corev1.ResourcePods: resource.MustParse("110"),
			},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		switch {
		case name == "notready":
			n.Status.Conditions[0].Status = corev1.ConditionUnknown
		case name == "cordoned":
			n.Spec.Unschedulable = true
		case name == "taint": // taint=key:value:effect
			parts := strings.Split(value, ":")
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: parts[0], Value: parts[1], Effect: corev1.TaintEffect(parts[2])})
		case name == "image":
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{value}})
		case name == "cpu", name == "memory", name == "pods", name == "ephemeral-storage", strings.HasPrefix(name, "skerry.dev/"):
			n.Status.Allocatable[corev1.ResourceName(name)] = resource.MustParse(value)
		default:
			n.Labels[name] = value
		}
	}
	return n
}

// Pod is a bare pod: "web cpu=100m memory=64Mi node=pi-1 restart=Never disk=ssd". cpu, memory and names with a
// slash are requests; node binds it; all else selects nodes.
func Pod(text string) *corev1.Pod {
	fields := strings.Fields(text)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fields[0], Namespace: metav1.NamespaceDefault},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers:    []corev1.Container{{Name: "main", Image: "busybox"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	c := &p.Spec.Containers[0]
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		switch {
		case name == "namespace":
			p.Namespace = value
		case name == "node":
			p.Spec.NodeName = value
		case f == "hostnetwork":
			p.Spec.HostNetwork = true
		case name == "restart":
			p.Spec.RestartPolicy = corev1.RestartPolicy(value)
		case name == "image":
			c.Image = value
		case name == "port":
			var port int32
			if _, err := fmt.Sscan(value, &port); err != nil {
				panic(err)
			}
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: port, HostPort: port})
		case name == "tolerate": // tolerate=key:effect
			key, effect, _ := strings.Cut(value, ":")
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
				Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(effect),
			})
		case name == "cpu", name == "memory", name == "ephemeral-storage", strings.HasPrefix(name, "skerry.dev/"):
			if c.Resources.Requests == nil {
				c.Resources.Requests = corev1.ResourceList{}
			}
			c.Resources.Requests[corev1.ResourceName(name)] = resource.MustParse(value)
		default:
			if p.Spec.NodeSelector == nil {
				p.Spec.NodeSelector = map[string]string{}
			}
			p.Spec.NodeSelector[name] = value
		}
	}
	return p
}

// Running makes a pod what its agent reports once it runs.
func Running(p *corev1.Pod, at metav1.Time) *corev1.Pod {
	p.Status.Phase = corev1.PodRunning
	p.Status.StartTime = &at
	for _, kind := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		set := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at}
		found := false
		for i := range p.Status.Conditions {
			if p.Status.Conditions[i].Type == kind {
				p.Status.Conditions[i], found = set, true
			}
		}
		if !found {
			p.Status.Conditions = append(p.Status.Conditions, set)
		}
	}
	return p
}
