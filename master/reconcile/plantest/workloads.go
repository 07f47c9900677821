package plantest

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ReplicaSet is "web 3": its name and replicas; name and label app are the same. Its pods run busybox.
func ReplicaSet(text string) *appsv1.ReplicaSet {
	fields := strings.Fields(text)
	n := number(fields[1])
	labels := map[string]string{"app": fields[0]}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: fields[0], Namespace: metav1.NamespaceDefault, Generation: 1, Labels: labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: template(labels, "busybox"),
		},
	}
}

// Deployment is "web 3 image=nginx surge=1 unavailable=25% history=2 deadline=60 recreate": name, replicas and
// what differs from Kubernetes' defaults.
func Deployment(text string) *appsv1.Deployment {
	fields := strings.Fields(text)
	n, history, deadline := number(fields[1]), int32(10), int32(600)
	surge, unavailable := intstr.FromString("25%"), intstr.FromString("25%")
	labels := map[string]string{"app": fields[0]}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: fields[0], Namespace: metav1.NamespaceDefault, Generation: 1, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:                &n,
			Selector:                &metav1.LabelSelector{MatchLabels: labels},
			Template:                template(labels, "busybox"),
			RevisionHistoryLimit:    &history,
			ProgressDeadlineSeconds: &deadline,
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable},
			},
		},
	}
	for _, f := range fields[2:] {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "image":
			d.Spec.Template.Spec.Containers[0].Image = value
		case "surge":
			surge = intstr.Parse(value)
		case "unavailable":
			unavailable = intstr.Parse(value)
		case "history":
			history = number(value)
		case "deadline":
			deadline = number(value)
		case "recreate":
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		default:
			panic("a deployment has no " + name)
		}
	}
	return d
}

func template(labels map[string]string, image string) corev1.PodTemplateSpec {
	grace := int64(30)
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: &grace,
			Containers:                    []corev1.Container{{Name: "main", Image: image}},
		},
	}
}

func number(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}
