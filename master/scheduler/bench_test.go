package scheduler

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	skerry "github.com/skerry-edge/skerry/master/resource"
)

// BenchmarkSchedule is the budget of 100,000 pods on 10,000 nodes: it measures observing the pods, deciding,
// encoding bindings and Events, and observing the bindings, but not the store. pods/s is the number to look at.
func BenchmarkSchedule(b *testing.B) {
	for _, size := range []struct{ pods, nodes, owners int }{
		{1_000, 10, 10},
		{10_000, 1_000, 100},
		{100_000, 10_000, 1_000},
		{100_000, 10_000, 100_000},
	} {
		b.Run(fmt.Sprintf("pods=%d/nodes=%d/owners=%d", size.pods, size.nodes, size.owners), func(b *testing.B) {
			nodes := make([]change.Event, size.nodes)
			for i := range nodes {
				arch := []string{"arm64", "arm", "amd64"}[i%3]
				nodes[i] = event(b, skerry.Nodes, plantest.Node(fmt.Sprintf("node-%05d cpu=4 memory=4Gi pods=20 kubernetes.io/arch=%s image=busybox", i, arch)))
			}
			pods := make([]change.Event, size.pods)
			view := table{}
			for i := range pods {
				pods[i] = event(b, skerry.Pods, benchPod(i, i%size.owners))
				view[pods[i].Key] = pods[i].New
			}
			b.ResetTimer()
			for range b.N {
				s := New(Config{})
				b.StopTimer()
				for _, e := range nodes {
					s.Observe(e)
				}
				b.StartTimer()
				for _, e := range pods {
					s.Observe(e)
				}
				now := plantest.New(b).Now
				bound := 0
				for {
					groups, next := s.Plan(view, now)
					for _, g := range groups {
						for _, c := range g {
							if c.Key.Kind == skerry.Pods.Kind {
								s.Observe(change.Event{Key: c.Key, New: change.Record{Key: c.Key, Rev: 2, Value: c.Value}})
								bound++
							}
						}
					}
					if next.IsNever() {
						break
					}
				}
				if bound != size.pods {
					b.Fatalf("%d of %d pods were bound", bound, size.pods)
				}
			}
			b.ReportMetric(float64(size.pods)*float64(b.N)/b.Elapsed().Seconds(), "pods/s")
		})
	}
}

func benchPod(i, owner int) *corev1.Pod {
	yes := true
	p := plantest.Pod(fmt.Sprintf("web-%d-%06d", owner, i))
	p.UID = types.UID(fmt.Sprintf("uid-%06d", i))
	p.Labels = map[string]string{"app": fmt.Sprintf("web-%d", owner), "pod-template-hash": "5d4f8c7b9"}
	p.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: fmt.Sprintf("web-%d", owner),
		UID: types.UID(fmt.Sprintf("owner-%d", owner)), Controller: &yes, BlockOwnerDeletion: &yes,
	}}
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
	}
	if owner%3 == 0 {
		p.Spec.NodeSelector = map[string]string{corev1.LabelArchStable: "arm64"}
	}
	return p
}

func event(t testing.TB, r *skerry.Resource, o skerry.Object) change.Event {
	value, err := skerry.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	key := r.Key(o.GetNamespace(), o.GetName())
	return change.Event{Rev: 1, Key: key, New: change.Record{Key: key, Rev: 1, Value: value}}
}
