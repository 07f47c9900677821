package thousand

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	deployments = "/apis/apps/v1/namespaces/default/deployments"
	leases      = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
)

// deploy makes a Deployment of so many pods.
func (m *master) deploy(name string, replicas int32) {
	m.t.Helper()
	labels := map[string]string{"app": name}
	m.must(http.MethodPost, deployments, appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/app:1"}}},
			},
		},
	}, nil)
}

// deployed waits until all pods of a Deployment are ready.
func (m *master) deployed(name string, replicas int32) time.Duration {
	m.t.Helper()
	return until(m.t, name+" is ready", func() (bool, string) {
		var d appsv1.Deployment
		err := m.get(deployments+"/"+name, &d)
		return err == nil && d.Status.ReadyReplicas == replicas, fmt.Sprint(d.Status.ReadyReplicas, " ready, ", err)
	})
}

// run is what would be another one if a pod had been moved, replaced or restarted.
type run struct {
	Node      string
	Phase     corev1.PodPhase
	Ready     bool
	Restarts  int32
	Container string
	Started   time.Time
}

// pods are those of a Deployment, by uid.
func (m *master) pods(app string) map[types.UID]run {
	m.t.Helper()
	var list corev1.PodList
	m.must(http.MethodGet, "/api/v1/namespaces/default/pods?labelSelector=app%3D"+app, nil, &list)
	out := map[types.UID]run{}
	for _, p := range list.Items {
		r := run{Node: p.Spec.NodeName, Phase: p.Status.Phase}
		for _, c := range p.Status.ContainerStatuses {
			r.Ready, r.Restarts, r.Container = c.Ready, c.RestartCount, c.ContainerID
			if c.State.Running != nil {
				r.Started = c.State.Running.StartedAt.Time
			}
		}
		out[p.UID] = r
	}
	return out
}

// readySince is since when each node has been Ready; a node that was declared lost meanwhile is so since another moment.
// One that isn't Ready, or that pods are kept from, fails the test.
func (m *master) readySince() map[string]time.Time {
	m.t.Helper()
	var list corev1.NodeList
	m.must(http.MethodGet, "/api/v1/nodes", nil, &list)
	out := map[string]time.Time{}
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			switch {
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
				out[n.Name] = c.LastTransitionTime.Time
			case c.Type == corev1.NodeReady, c.Status == corev1.ConditionTrue:
				m.t.Errorf("%s is %s=%s: %s", n.Name, c.Type, c.Status, c.Message)
			}
		}
		if len(n.Spec.Taints) > 0 {
			m.t.Errorf("%s has the taints %v", n.Name, n.Spec.Taints)
		}
	}
	return out
}

// reasons says how often each reason for an Event was there.
func (m *master) reasons() map[string]int32 {
	m.t.Helper()
	var list corev1.EventList
	m.must(http.MethodGet, "/api/v1/events", nil, &list)
	out := map[string]int32{}
	for _, e := range list.Items {
		out[e.Reason] += max(1, e.Count)
	}
	return out
}

// heartbeats watches the leases of a master that leads, until so many nodes have been heard by it, and once more an interval
// later. It returns when they were heard first: a lease is what this very master has heard of a node that has proven its run
// to it. What comes within a second of that counts as the same.
func (m *master) heartbeats(nodes int, limit time.Duration) map[string]time.Time {
	m.t.Helper()
	first, again := map[string]time.Time{}, map[string]bool{}
	stream, err := m.api.Within(limit).Stream(leases + "?watch=true")
	if err != nil {
		m.t.Fatal(err)
	}
	defer stream.Close()
	events := json.NewDecoder(stream)
	for len(again) < nodes {
		var e struct {
			Type   string
			Object coordinationv1.Lease
		}
		if err := events.Decode(&e); err != nil {
			m.t.Fatalf("%d of %d nodes were heard, %d of them once more: %v", len(first), nodes, len(again), err)
		}
		name, heard := e.Object.Name, e.Object.Spec.RenewTime
		switch {
		case e.Type != "ADDED" && e.Type != "MODIFIED" || heard == nil:
			m.t.Fatalf("a lease was %s: %+v", e.Type, e.Object)
		case first[name].IsZero():
			first[name] = heard.Time
		case heard.Time.Sub(first[name]) > heartbeat*9/10: // intervals are up to a twentieth shorter
			again[name] = true
		}
	}
	return first
}

// quantile is that of some durations.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// after are the durations between a moment and those in m.
func after(begin time.Time, m map[string]time.Time) (out []time.Duration) {
	for at := range maps.Values(m) {
		out = append(out, at.Sub(begin))
	}
	return out
}
