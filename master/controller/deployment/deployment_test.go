package deployment_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/deployment"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// rig is a world in which ReplicaSets have their pods and agents run them.
type rig struct {
	*plantest.World
	sets map[string]string // of a replica set's name: what the tests call it
}

func newRig(t *testing.T) *rig {
	w := plantest.New(t, deployment.New())
	w.Put(plantest.Node("n1 pods=1000"))
	return &rig{World: w, sets: map[string]string{}}
}

// settle lets everybody act until nothing changes, and returns the Events of the deployment with its sets
// called A, B, … in the order of their creation.
func (r *rig) settle() []string {
	r.T.Helper()
	var lines []string
	for range 200 {
		more := append(r.Settle(), r.replicate(nil)...)
		if len(more) == 0 {
			return r.scaling(lines)
		}
		lines = append(lines, more...)
	}
	r.T.Fatal("no rest")
	return nil
}

var events = regexp.MustCompile(`^event Normal ScalingReplicaSet deployment default/web: (Scaled.*)$`)

func (r *rig) scaling(lines []string) (out []string) {
	for _, line := range lines {
		if m := events.FindStringSubmatch(line); m != nil {
			out = append(out, r.named(m[1]))
		}
	}
	return out
}

func (r *rig) named(text string) string {
	for _, rs := range r.replicaSets() {
		if r.sets[rs.Name] == "" {
			r.sets[rs.Name] = string(rune('A' + len(r.sets)))
		}
	}
	for name, short := range r.sets {
		text = strings.ReplaceAll(text, name, short)
	}
	return text
}

func (r *rig) replicaSets() []*appsv1.ReplicaSet {
	return plantest.List[*appsv1.ReplicaSet](r.World, resource.ReplicaSets)
}

func (r *rig) deployment() *appsv1.Deployment {
	return plantest.Get[*appsv1.Deployment](r.World, resource.Deployments, "default", "web")
}

func (r *rig) update(f func(*appsv1.Deployment)) {
	plantest.Update(r.World, resource.Deployments, "default", "web", func(d *appsv1.Deployment) {
		d.Generation++
		f(d)
	})
}

func image(name string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = name }
}

func size(n int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Replicas = &n }
}

// replicate plays the ReplicaSet controller with one number instead of pods: available of a set is what ready
// allows, all of them if nil.
func (r *rig) replicate(ready func(rs *appsv1.ReplicaSet) int32) (lines []string) {
	for _, rs := range r.replicaSets() {
		n := *rs.Spec.Replicas
		up := n
		if ready != nil {
			up = min(n, ready(rs))
		}
		status := appsv1.ReplicaSetStatus{
			Replicas: n, FullyLabeledReplicas: n, ReadyReplicas: up, AvailableReplicas: up, ObservedGeneration: rs.Generation,
		}
		if cmp.Equal(rs.Status, status) {
			continue
		}
		rs.Status = status
		r.Put(rs)
		lines = append(lines, "status of "+rs.Name)
	}
	return lines
}

// rolledOut is kubectl rollout status' judgement (k8s.io/kubectl/pkg/polymorphichelpers).
func rolledOut(d *appsv1.Deployment) string {
	s := d.Status
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return "exceeded its progress deadline"
		}
	}
	switch {
	case d.Generation > s.ObservedGeneration:
		return "waiting for spec update to be observed"
	case s.UpdatedReplicas < *d.Spec.Replicas:
		return fmt.Sprintf("%d out of %d new replicas have been updated", s.UpdatedReplicas, *d.Spec.Replicas)
	case s.Replicas > s.UpdatedReplicas:
		return fmt.Sprintf("%d old replicas are pending termination", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < s.UpdatedReplicas:
		return fmt.Sprintf("%d of %d updated replicas are available", s.AvailableReplicas, s.UpdatedReplicas)
	}
	return "successfully rolled out"
}

func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}

// A new deployment gets one set, revision 1, with the hash in selector, labels and template.
func TestFirstRollout(t *testing.T) {
	r := newRig(t)
	d := plantest.Deployment("web 3")
	d.Annotations = map[string]string{"kubernetes.io/change-cause": "first", corev1.LastAppliedConfigAnnotation: "{}"}
	r.Put(d)
	if d := cmp.Diff([]string{"Scaled up replica set A from 0 to 3"}, r.settle()); d != "" {
		t.Error(d)
	}
	rs := r.replicaSets()[0]
	hash := rs.Labels["pod-template-hash"]
	want := map[string]string{
		"deployment.kubernetes.io/revision": "1", "deployment.kubernetes.io/desired-replicas": "3",
		"deployment.kubernetes.io/max-replicas": "4", "kubernetes.io/change-cause": "first",
	}
	if d := cmp.Diff(want, rs.Annotations); d != "" {
		t.Error(d)
	}
	labels := map[string]string{"app": "web", "pod-template-hash": hash}
	if rs.Name != "web-"+hash || hash == "" || !cmp.Equal(rs.Spec.Selector.MatchLabels, labels) || !cmp.Equal(rs.Spec.Template.Labels, labels) {
		t.Errorf("set %s, selector %v, template %v", rs.Name, rs.Spec.Selector, rs.Spec.Template.Labels)
	}
	d = r.deployment()
	if !metav1.IsControlledBy(rs, d) || d.Annotations["deployment.kubernetes.io/revision"] != "1" {
		t.Errorf("owners %v, annotations %v", rs.OwnerReferences, d.Annotations)
	}
	if got := rolledOut(d); got != "successfully rolled out" {
		t.Error(got)
	}
	if c := condition(d, appsv1.DeploymentProgressing); c.Reason != "NewReplicaSetAvailable" || c.Message != fmt.Sprintf("ReplicaSet %q has successfully progressed.", rs.Name) {
		t.Errorf("%+v", c)
	}
	if c := condition(d, appsv1.DeploymentAvailable); c.Status != corev1.ConditionTrue || c.Reason != "MinimumReplicasAvailable" {
		t.Errorf("%+v", c)
	}
	if more := r.Again(deployment.New()); len(more) != 0 {
		t.Errorf("planning again: %v", more)
	}
}

// The steps of a rolling update, for strategies at the corners of the arithmetic.
func TestRollingUpdateSteps(t *testing.T) {
	for _, s := range []struct{ deployment, want string }{
		{"web 3", `up B 0 to 1, down A 3 to 2, up B 1 to 2, down A 2 to 1, up B 2 to 3, down A 1 to 0`},
		{"web 1", `up B 0 to 1, down A 1 to 0`},
		{"web 4 surge=100% unavailable=0", `up B 0 to 4, down A 4 to 0`},
		{"web 4 surge=0 unavailable=2", `down A 4 to 2, up B 0 to 2, down A 2 to 0, up B 2 to 4`},
		{"web 2 surge=0 unavailable=1%", `down A 2 to 1, up B 0 to 1, down A 1 to 0, up B 1 to 2`},
		{"web 4 surge=1 unavailable=1", `up B 0 to 1, down A 4 to 2, up B 1 to 3, down A 2 to 0, up B 3 to 4`},
		{"web 3 recreate", `down A 3 to 0, up B 0 to 3`},
	} {
		t.Run(s.deployment, func(t *testing.T) {
			r := newRig(t)
			r.Put(plantest.Deployment(s.deployment))
			r.settle()
			r.update(image("nginx"))
			var got []string
			for _, line := range r.settle() {
				line = strings.NewReplacer("Scaled ", "", "replica set ", "", "from ", "").Replace(line)
				got = append(got, line)
			}
			if d := cmp.Diff(strings.Split(s.want, ", "), got); d != "" {
				t.Error(d)
			}
			if got := rolledOut(r.deployment()); got != "successfully rolled out" {
				t.Error(got)
			}
			if got := r.deployment().Annotations["deployment.kubernetes.io/revision"]; got != "2" {
				t.Errorf("revision %s", got)
			}
		})
	}
}

// Old replicas that are not available go first: they are no loss.
func TestUnhealthyOldReplicasGoFirst(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 4 surge=1 unavailable=1"))
	r.Settle()
	broken := func(rs *appsv1.ReplicaSet) int32 { return 1 }
	r.replicate(broken)
	r.Settle()
	r.update(image("nginx"))
	// At least 3 shall be available and only 1 is: no available pod may go, and of the others just as many as
	// the surge replaces.
	var lines []string
	for range 10 {
		lines = append(lines, r.Settle()...)
		r.replicate(func(rs *appsv1.ReplicaSet) int32 {
			if r.named(rs.Name) == "A" {
				return 1
			}
			return 0
		})
	}
	want := []string{"Scaled up replica set B from 0 to 1", "Scaled down replica set A from 4 to 3", "Scaled up replica set B from 1 to 2"}
	if d := cmp.Diff(want, r.scaling(lines)); d != "" {
		t.Error(d)
	}
}

// Recreate starts nothing while a pod of the old set is left, be it one that is being deleted.
func TestRecreateWaitsForTheLastPod(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 1 recreate"))
	r.settle()
	old := r.replicaSets()[0]
	p := plantest.Pod("web-old node=n1")
	now := metav1.NewTime(r.Now.Wall)
	p.DeletionTimestamp, p.OwnerReferences = &now, []metav1.OwnerReference{*metav1.NewControllerRef(old, resource.ReplicaSets.GVK)}
	r.Put(p)
	r.update(image("nginx"))
	r.settle()
	if n := len(r.replicaSets()); n != 1 {
		t.Fatalf("%d sets while an old pod is left", n)
	}
	r.Delete(resource.Pods, "default", "web-old")
	if d := cmp.Diff([]string{"Scaled up replica set B from 0 to 1"}, r.settle()); d != "" {
		t.Error(d)
	}
}

// A paused deployment follows its size, not its template; resumed, it rolls.
func TestPause(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 2"))
	r.settle()
	r.update(func(d *appsv1.Deployment) { d.Spec.Paused = true })
	r.update(image("nginx"))
	r.update(size(3))
	if d := cmp.Diff([]string{"Scaled up replica set A from 2 to 3"}, r.settle()); d != "" {
		t.Error(d)
	}
	if c := condition(r.deployment(), appsv1.DeploymentProgressing); c.Status != corev1.ConditionUnknown || c.Reason != "DeploymentPaused" {
		t.Errorf("%+v", c)
	}
	r.Advance(time.Hour)
	r.update(func(d *appsv1.Deployment) { d.Spec.Paused = false })
	if got := r.settle(); len(got) != 6 {
		t.Errorf("steps: %v", got)
	}
	if got := rolledOut(r.deployment()); got != "successfully rolled out" {
		t.Error(got)
	}
}

// Undoing puts the old template back: its set is used again, under a new revision, and remembers the old one.
func TestUndo(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 1"))
	r.settle()
	r.update(image("nginx"))
	r.settle()
	r.update(image("busybox"))
	r.settle()
	if n := len(r.replicaSets()); n != 2 {
		t.Errorf("%d sets", n)
	}
	for _, rs := range r.replicaSets() {
		if r.named(rs.Name) != "A" {
			continue
		}
		if a := rs.Annotations; a["deployment.kubernetes.io/revision"] != "3" || a["deployment.kubernetes.io/revision-history"] != "1" || *rs.Spec.Replicas != 1 {
			t.Errorf("annotations %v, replicas %d", a, *rs.Spec.Replicas)
		}
	}
	if a := r.deployment().Annotations["deployment.kubernetes.io/revision"]; a != "3" {
		t.Errorf("revision %s", a)
	}
}

// Only as many old sets as the history limit says are kept: the newest.
func TestHistoryLimit(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 1 history=2"))
	r.settle()
	for i := range 5 {
		r.update(image(fmt.Sprintf("v%d", i)))
		r.settle()
	}
	var revisions []string
	for _, rs := range r.replicaSets() {
		revisions = append(revisions, rs.Annotations["deployment.kubernetes.io/revision"])
	}
	if len(revisions) != 3 || strings.Contains(strings.Join(revisions, ","), "1") || strings.Contains(strings.Join(revisions, ","), "2") {
		t.Errorf("revisions %v", revisions)
	}
}

// A deployment that is resized in the middle of a rollout grows or shrinks its sets in proportion
// (Kubernetes' documentation: "Proportional scaling").
func TestProportionalScaling(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 10 surge=3 unavailable=2"))
	r.settle()
	r.update(image("broken"))
	stuck := func(rs *appsv1.ReplicaSet) int32 {
		if r.named(rs.Name) == "A" {
			return 100
		}
		return 0
	}
	rest := func() {
		for range 20 {
			r.Settle()
			r.replicate(stuck)
		}
	}
	rest()
	sizes := func() string {
		out := map[string]int32{}
		for _, rs := range r.replicaSets() {
			out[r.named(rs.Name)] = *rs.Spec.Replicas
		}
		return fmt.Sprint(out)
	}
	if got := sizes(); got != "map[A:8 B:5]" {
		t.Fatalf("stuck at %s", got)
	}
	r.update(size(15))
	r.Settle()
	if got := sizes(); got != "map[A:11 B:7]" {
		t.Errorf("grown to %s", got)
	}
	rest()
	r.update(size(0))
	rest()
	if got := sizes(); got != "map[A:0 B:0]" {
		t.Errorf("shrunk to %s", got)
	}
}

// A rollout that makes no progress for progressDeadlineSeconds is reported, by the boot clock; it goes on all
// the same.
func TestProgressDeadline(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 1 deadline=60"))
	r.Settle()
	none := func(*appsv1.ReplicaSet) int32 { return 0 }
	r.replicate(none)
	r.Settle()
	r.Now.Wall = r.Now.Wall.Add(24 * time.Hour) // a step of the wall clock is no time
	r.Advance(59 * time.Second)
	r.Settle()
	if got := rolledOut(r.deployment()); got != "0 of 1 updated replicas are available" {
		t.Error(got)
	}
	r.Advance(time.Second)
	r.Settle()
	if got := rolledOut(r.deployment()); got != "exceeded its progress deadline" {
		t.Error(got)
	}
	r.settle()
	if got := rolledOut(r.deployment()); got != "successfully rolled out" {
		t.Error(got)
	}
}

// Orphan sets that the selector matches are adopted, as after a deletion of the deployment with --cascade=orphan.
func TestOrphansAreAdopted(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 2"))
	r.settle()
	r.Delete(resource.Deployments, "default", "web")
	rs := r.replicaSets()[0]
	rs.OwnerReferences = nil
	r.Put(rs)
	r.settle()
	again := plantest.Deployment("web 2")
	again.UID = "another"
	r.Put(again)
	if got := r.settle(); len(got) != 0 || len(r.replicaSets()) != 1 || !metav1.IsControlledBy(r.replicaSets()[0], r.deployment()) {
		t.Errorf("steps %v, sets %d", got, len(r.replicaSets()))
	}
}

// A name that is taken by a set of other content makes the next plan choose another.
func TestHashCollision(t *testing.T) {
	r := newRig(t)
	r.Put(plantest.Deployment("web 1"))
	r.settle()
	taken := r.replicaSets()[0]
	r.Delete(resource.Deployments, "default", "web")
	taken.OwnerReferences = []metav1.OwnerReference{{UID: "somebody", Name: "else", Controller: new(bool)}}
	*taken.OwnerReferences[0].Controller = true
	r.Put(taken)
	d := plantest.Deployment("web 1")
	d.UID = "another"
	r.Put(d)
	r.settle()
	if n := r.deployment().Status.CollisionCount; n == nil || *n != 1 || len(r.replicaSets()) != 2 {
		t.Errorf("collisions %v, %d sets", n, len(r.replicaSets()))
	}
}

// Whatever users and pods do, no step wants more than replicas + maxSurge pods once the sets follow, none takes
// an available pod that minAvailable needs, and all comes to rest rolled out.
func TestNeverBeyondTheBounds(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := newRig(t)
		surge, unavailable := rng.IntN(3), rng.IntN(3)
		if surge+unavailable == 0 {
			surge = 1
		}
		n := int32(1 + rng.IntN(8))
		r.Put(plantest.Deployment(fmt.Sprintf("web %d surge=%d unavailable=%d", n, surge, unavailable)))
		r.settle()
		for range 30 {
			if rng.IntN(5) == 0 {
				r.update(image(fmt.Sprintf("v%d", rng.IntN(3))))
			}
			before := r.available()
			r.Step()
			total, after := int32(0), r.available()
			for _, rs := range r.replicaSets() {
				total += *rs.Spec.Replicas
			}
			if total > n+int32(surge) {
				t.Fatalf("seed %d: %d pods wanted for %d + %d", seed, total, n, surge)
			}
			if after < before && after < n-int32(unavailable) {
				t.Fatalf("seed %d: a step left %d of %d available, from %d", seed, after, n, before)
			}
			if rng.IntN(2) == 0 {
				r.replicate(func(rs *appsv1.ReplicaSet) int32 {
					return max(rs.Status.AvailableReplicas, rng.Int32N(*rs.Spec.Replicas+1))
				})
			}
		}
		r.settle()
		if got := rolledOut(r.deployment()); got != "successfully rolled out" {
			t.Fatalf("seed %d: %s", seed, got)
		}
		if more := r.Again(deployment.New()); len(more) != 0 {
			t.Fatalf("seed %d: planning again: %v", seed, more)
		}
	}
}

// available is how many available pods the sets would keep if each ended its unavailable ones first.
func (r *rig) available() (n int32) {
	for _, rs := range r.replicaSets() {
		n += min(rs.Status.AvailableReplicas, *rs.Spec.Replicas)
	}
	return n
}
