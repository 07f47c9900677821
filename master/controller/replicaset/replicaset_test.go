package replicaset_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/replicaset"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

func world(t *testing.T) *plantest.World {
	return plantest.New(t, replicaset.New(replicaset.Config{}))
}

// generated is the part of a pod's name that the planner made up.
var generated = regexp.MustCompile(`web-[bcdfghjklmnpqrstvwxz2456789]{5}\b`)

func anonymous(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = generated.ReplaceAllString(line, "web-*")
	}
	return out
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, anonymous(got)); d != "" {
		t.Error(d)
	}
}

func list(w *plantest.World) []*corev1.Pod { return plantest.List[*corev1.Pod](w, resource.Pods) }

// A new set creates its pods and says so; a second plan finds nothing to do.
func TestMissingPodsAreCreated(t *testing.T) {
	w := world(t)
	w.Put(plantest.ReplicaSet("web 2"))
	wantLines(t, w.Settle(),
		"create pods default/web-*: replica 1 of 2 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
		"create pods default/web-*: replica 2 of 2 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
		"update replicasets.apps default/web: 2 replicas, 0 ready, 0 available",
	)
	for _, p := range list(w) {
		rs := plantest.Get[*appsv1.ReplicaSet](w, resource.ReplicaSets, "default", "web")
		if !metav1.IsControlledBy(p, rs) || p.UID == "" || p.Labels["app"] != "web" || p.GenerateName != "web-" ||
			p.Status.Phase != corev1.PodPending || p.Spec.Containers[0].Image != "busybox" || p.CreationTimestamp.IsZero() {
			t.Errorf("created %+v", p)
		}
	}
	if more := w.Again(replicaset.New(replicaset.Config{})); len(more) != 0 {
		t.Errorf("planning again: %v", more)
	}
}

// Kubernetes' order of deletion: each pod here goes before the one after it.
func TestDeletionOrder(t *testing.T) {
	w := world(t)
	w.Put(plantest.Node("n1"), plantest.Node("n2"), plantest.Node("n3"))
	w.Put(plantest.ReplicaSet("web 0"))
	rs := plantest.Get[*appsv1.ReplicaSet](w, resource.ReplicaSets, "default", "web")
	at := metav1.NewTime(w.Now.Wall.Add(-time.Hour))
	recent := metav1.NewTime(w.Now.Wall.Add(-time.Minute))
	add := func(name, node string, change func(*corev1.Pod)) {
		p := plantest.Pod(name)
		p.Labels = map[string]string{"app": "web"}
		p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rs, resource.ReplicaSets.GVK)}
		p.CreationTimestamp = at
		p.Spec.NodeName = node
		if node != "" {
			plantest.Running(p, at)
		}
		change(p)
		w.Put(p)
	}
	ready := func(status corev1.ConditionStatus, since metav1.Time) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			c := resource.PodCondition(p, corev1.PodReady)
			c.Status, c.LastTransitionTime = status, since
		}
	}
	add("i-old", "n3", func(*corev1.Pod) {})
	add("h-young", "n3", func(p *corev1.Pod) { p.CreationTimestamp = recent })
	add("g-restarted", "n3", func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 2}} })
	add("f-ready-lately", "n3", ready(corev1.ConditionTrue, recent))
	for i := range 5 { // five on one node: more than the four on n3
		add(fmt.Sprintf("e-doubled-%d", i), "n2", func(*corev1.Pod) {})
	}
	add("d-cheap", "n1", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "-1"} })
	add("c-unready", "n1", ready(corev1.ConditionFalse, at))
	add("b-pending", "n1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })
	add("a-unassigned", "", func(*corev1.Pod) {})

	var order []string
	for n := len(list(w)) - 1; n >= 0; n-- {
		plantest.Update(w, resource.ReplicaSets, "default", "web", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = int32(n) })
		for _, line := range w.Settle() {
			if _, name, ok := strings.Cut(line, "Deleted pod: "); ok {
				order = append(order, name)
			}
		}
	}
	for i, name := range order {
		if strings.HasPrefix(name, "e-doubled") {
			order[i] = "e-doubled"
		}
	}
	// Only while they are the more crowded do pods of n2 go before those of n3.
	want := []string{
		"a-unassigned", "b-pending", "c-unready", "d-cheap", "e-doubled",
	}
	if d := cmp.Diff(want, order[:len(want)]); d != "" {
		t.Error(d)
	}
	rest := slices.DeleteFunc(order[len(want):], func(name string) bool { return name == "e-doubled" })
	if d := cmp.Diff([]string{"f-ready-lately", "g-restarted", "h-young", "i-old"}, rest); d != "" {
		t.Error(d)
	}
}

// A pod on its node gets its grace and no longer counts; its successor is created at once. One that no node has
// yet goes at once.
func TestDeletedPodsDoNotCount(t *testing.T) {
	w := world(t)
	w.Put(plantest.Node("n1"), plantest.ReplicaSet("web 1"))
	w.Settle()
	first := list(w)[0]
	first.Spec.NodeName = "n1"
	w.Put(plantest.Running(first, metav1.NewTime(w.Now.Wall)))
	w.Settle()
	w.Ask(resource.Pods, "default", first.Name)
	wantLines(t, w.Settle(),
		"create pods default/web-*: replica 1 of 1 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
		"update replicasets.apps default/web: 1 replicas, 0 ready, 0 available",
	)
	if n := len(list(w)); n != 2 {
		t.Errorf("%d pods", n)
	}
	plantest.Update(w, resource.ReplicaSets, "default", "web", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = 0 })
	w.Settle()
	pods := list(w)
	if len(pods) != 1 || pods[0].DeletionTimestamp == nil || *pods[0].DeletionGracePeriodSeconds != 30 {
		t.Errorf("left: %v", pods)
	}
}

// A pod that must be single counts until it has ended, also one of another set of the same Deployment.
func TestSinglePodsCountUntilTheyHaveEnded(t *testing.T) {
	w := world(t)
	w.Put(plantest.Node("n1"))
	sets := []*appsv1.ReplicaSet{plantest.ReplicaSet("web-old 1"), plantest.ReplicaSet("web-new 0")}
	yes := true
	for _, rs := range sets {
		rs.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web", Controller: &yes}}
		rs.Spec.Template.Annotations = map[string]string{resource.PartitionPolicy: resource.PolicyStop}
		w.Put(rs)
	}
	w.Settle()
	first := list(w)[0]
	first.Spec.NodeName = "n1"
	w.Put(plantest.Running(first, metav1.NewTime(w.Now.Wall)))
	w.Settle()
	w.Ask(resource.Pods, "default", first.Name)
	w.Settle()
	plantest.Update(w, resource.ReplicaSets, "default", "web-old", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = 0 })
	plantest.Update(w, resource.ReplicaSets, "default", "web-new", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = 1 })
	w.Settle()
	if pods := list(w); len(pods) != 1 {
		t.Errorf("%d pods while one ends", len(pods))
	}
	w.Delete(resource.Pods, "default", first.Name)
	w.Settle()
	if pods := list(w); len(pods) != 1 || pods[0].DeletionTimestamp != nil {
		t.Errorf("pods %v once it has ended", pods)
	}
}

// Scaling down marks pods that run, for their agents to end them.
func TestScalingDownIsGraceful(t *testing.T) {
	w := world(t)
	w.Put(plantest.Node("n1"), plantest.ReplicaSet("web 2"))
	w.Settle()
	for _, p := range list(w) {
		p.Spec.NodeName = "n1"
		w.Put(plantest.Running(p, metav1.NewTime(w.Now.Wall)))
	}
	w.Settle()
	plantest.Update(w, resource.ReplicaSets, "default", "web", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = 1 })
	wantLines(t, w.Settle(),
		"update pods default/web-*: 2 replicas are too many for 1",
		"event Normal SuccessfulDelete replicaset default/web: Deleted pod: web-*",
		"update replicasets.apps default/web: 1 replicas, 1 ready, 1 available",
	)
}

// Ended pods are replaced; they stay for people to look at.
func TestEndedPodsAreReplaced(t *testing.T) {
	w := world(t)
	w.Put(plantest.ReplicaSet("web 1"))
	w.Settle()
	p := list(w)[0]
	p.Status.Phase = corev1.PodFailed
	w.Put(p)
	w.Settle()
	if n := len(list(w)); n != 2 {
		t.Errorf("%d pods", n)
	}
}

// Orphans that the selector matches are adopted, and pods whose labels have changed are released and replaced.
func TestClaims(t *testing.T) {
	w := world(t)
	orphan := plantest.Pod("orphan")
	orphan.Labels = map[string]string{"app": "web"}
	stranger := plantest.Pod("stranger")
	stranger.Labels = map[string]string{"app": "other"}
	w.Put(orphan, stranger, plantest.ReplicaSet("web 1"))
	wantLines(t, w.Settle(),
		"update pods default/orphan: the selector of replica set web matches this orphan",
		"update replicasets.apps default/web: 1 replicas, 0 ready, 0 available",
	)
	plantest.Update(w, resource.Pods, "default", "orphan", func(p *corev1.Pod) { p.Labels["app"] = "debug" })
	wantLines(t, w.Settle(),
		"update pods default/orphan: the selector of replica set web no longer matches",
		"create pods default/web-*: replica 1 of 1 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
	)
	if p := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "orphan"); len(p.OwnerReferences) != 0 {
		t.Errorf("owned by %v", p.OwnerReferences)
	}
}

// A set that is being deleted, or whose namespace is, creates nothing.
func TestNothingIsCreatedForWhatGoes(t *testing.T) {
	now := metav1.NewTime(plantest.Start)
	t.Run("set", func(t *testing.T) {
		w := world(t)
		rs := plantest.ReplicaSet("web 1")
		rs.DeletionTimestamp, rs.Finalizers = &now, []string{metav1.FinalizerDeleteDependents}
		w.Put(rs)
		w.Settle()
		if len(list(w)) != 0 {
			t.Error("a pod was created")
		}
	})
	t.Run("namespace", func(t *testing.T) {
		w := world(t)
		w.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", DeletionTimestamp: &now}}, plantest.ReplicaSet("web 1"))
		w.Settle()
		if len(list(w)) != 0 {
			t.Error("a pod was created")
		}
	})
}

// A pod is available once it has been ready for minReadySeconds, by the master's clock, whatever the agent's
// says. A restarted master trusts what the objects say.
func TestMinReadySeconds(t *testing.T) {
	w := world(t)
	rs := plantest.ReplicaSet("web 1")
	rs.Spec.MinReadySeconds = 30
	w.Put(rs)
	w.Settle()
	p := list(w)[0]
	p.Spec.NodeName = "n1"
	w.Put(plantest.Running(p, metav1.NewTime(time.Unix(0, 0)))) // an agent without a clock
	available := func() int32 {
		return plantest.Get[*appsv1.ReplicaSet](w, resource.ReplicaSets, "default", "web").Status.AvailableReplicas
	}
	w.Settle()
	w.Advance(29 * time.Second)
	w.Settle()
	if available() != 0 {
		t.Error("available after 29 s")
	}
	w.Advance(time.Second)
	wantLines(t, w.Settle(), "update replicasets.apps default/web: 1 replicas, 1 ready, 1 available")
	if more := w.Again(replicaset.New(replicaset.Config{})); len(more) != 0 {
		t.Errorf("after a restart: %v", more)
	}
}

// A plan creates at most a burst for one set; the next goes on.
func TestBursts(t *testing.T) {
	w := plantest.New(t, replicaset.New(replicaset.Config{Burst: 10}))
	w.Put(plantest.ReplicaSet("web 25"))
	for _, want := range []int{10, 20, 25, 25} {
		w.Step()
		if n := len(list(w)); n != want {
			t.Errorf("%d pods, not %d", n, want)
		}
	}
}

// Whatever happens to pods and sets, in the end there are as many active pods as wanted, the status says so, and
// planning again changes nothing.
func TestAsManyAsWanted(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := world(t)
		w.Put(plantest.Node("n1"), plantest.ReplicaSet("web 3"))
		for range 60 {
			pods := list(w)
			switch n := r.IntN(6); {
			case n == 0:
				plantest.Update(w, resource.ReplicaSets, "default", "web", func(rs *appsv1.ReplicaSet) { *rs.Spec.Replicas = int32(r.IntN(6)) })
			case len(pods) == 0:
			case n == 1:
				w.Ask(resource.Pods, "default", pods[r.IntN(len(pods))].Name)
			case n == 2:
				w.Delete(resource.Pods, "default", pods[r.IntN(len(pods))].Name)
			case n == 3:
				p := pods[r.IntN(len(pods))]
				p.Spec.NodeName = "n1"
				w.Put(plantest.Running(p, metav1.NewTime(w.Now.Wall)))
			case n == 4:
				p := pods[r.IntN(len(pods))]
				p.Status.Phase = corev1.PodFailed
				w.Put(p)
			case n == 5:
				p := pods[r.IntN(len(pods))]
				p.Labels = map[string]string{"app": []string{"web", "other"}[r.IntN(2)]}
				w.Put(p)
			}
			if r.IntN(2) == 0 {
				w.Step()
			} else {
				w.Settle()
				rs := plantest.Get[*appsv1.ReplicaSet](w, resource.ReplicaSets, "default", "web")
				active := 0
				for _, p := range list(w) {
					if metav1.IsControlledBy(p, rs) && p.DeletionTimestamp == nil && !resource.Ended(p) {
						active++
					}
				}
				if active != int(*rs.Spec.Replicas) || rs.Status.Replicas != *rs.Spec.Replicas {
					t.Fatalf("seed %d: %d active, status %d, wanted %d", seed, active, rs.Status.Replicas, *rs.Spec.Replicas)
				}
				if more := w.Again(replicaset.New(replicaset.Config{})); len(more) != 0 {
					t.Fatalf("seed %d: planning again: %v", seed, more)
				}
			}
		}
	}
}

// Pods that their namespace does not let in are not created; an event and a condition say so, once. When the
// namespace is labelled for them they are.
func TestForbiddenPods(t *testing.T) {
	w := world(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	set := plantest.ReplicaSet("web 1")
	set.Spec.Template.Spec.HostNetwork = true
	w.Put(ns, set)
	const why = `pods "web-" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true); ` +
		"if it may, label the namespace: kubectl label namespace default pod-security.kubernetes.io/enforce=privileged"
	wantLines(t, w.Settle(),
		"event Warning FailedCreate replicaset default/web: Error creating: "+why,
		"update replicasets.apps default/web: 0 replicas, 0 ready, 0 available",
	)
	conditions := func() []appsv1.ReplicaSetCondition {
		return plantest.List[*appsv1.ReplicaSet](w, resource.ReplicaSets)[0].Status.Conditions
	}
	if c := conditions(); len(c) != 1 || c[0].Type != appsv1.ReplicaSetReplicaFailure || c[0].Message != why {
		t.Errorf("the conditions are %+v", c)
	}
	plantest.Update(w, resource.ReplicaSets, "default", "web", func(rs *appsv1.ReplicaSet) { rs.Labels["x"] = "y" })
	if lines := w.Settle(); len(lines) != 0 {
		t.Errorf("the same is told again: %q", lines)
	}
	plantest.Update(w, resource.Namespaces, "", "default", func(n *corev1.Namespace) {
		n.Labels = map[string]string{resource.PrivilegedLabel: resource.PrivilegedLevel}
	})
	wantLines(t, w.Settle(),
		"create pods default/web-*: replica 1 of 1 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
		"update replicasets.apps default/web: 1 replicas, 0 ready, 0 available",
	)
	if c := conditions(); len(c) != 0 {
		t.Errorf("the conditions are %+v", c)
	}
}

// Pods whose service account is missing are not created until it is there.
func TestPodsWaitForTheirAccount(t *testing.T) {
	w := world(t)
	set := plantest.ReplicaSet("web 1")
	set.Spec.Template.Spec.ServiceAccountName = "robot"
	w.Put(set)
	wantLines(t, w.Settle(),
		`event Warning FailedCreate replicaset default/web: Error creating: pods "web-" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found`,
		"update replicasets.apps default/web: 0 replicas, 0 ready, 0 available",
	)
	w.Put(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}})
	wantLines(t, w.Settle(),
		"create pods default/web-*: replica 1 of 1 is missing",
		"event Normal SuccessfulCreate replicaset default/web: Created pod: web-*",
		"update replicasets.apps default/web: 1 replicas, 0 ready, 0 available",
	)
}

// A label that is taken away between the plan and its commit keeps the pods out: the commit holds to the namespace
// that let them in.
func TestPodsAreHeldToTheirNamespace(t *testing.T) {
	w := world(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	w.Put(ns, plantest.ReplicaSet("web 1"))
	c := replicaset.New(replicaset.Config{})
	c.Reset(w.Store.View())
	groups, _ := c.Plan(w.Store.View(), w.Now)
	plantest.Update(w, resource.Namespaces, "", "default", func(n *corev1.Namespace) {
		n.Labels = map[string]string{resource.PrivilegedLabel: "restricted"}
	})
	if _, err := w.Store.Commit(t.Context(), groups[0]); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the pods were created: %v", err)
	}
}
