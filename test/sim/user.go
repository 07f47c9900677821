package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// user writes to the store as the API does for a client: with defaults, revisions and checks.
type user struct {
	w         *World
	made      int
	rotations int
	asked     map[string]int32 // Deployments that were asked for, with their replicas
	bare      map[string]bool  // bare pods that were asked for
	ordered   []string         // names of both, in the order of their making
}

func newUser(w *World) *user {
	return &user{w: w, asked: map[string]int32{}, bare: map[string]bool{}}
}

// programs are what containers run: the fake engine knows the words.
var programs = [][]string{
	{"forever"}, {"forever"}, {"trap", "0", "4s"}, {"ignore"}, {"sleep", "90"},
}

func template(program []string, image string, grace int64) corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace,
		Containers: []corev1.Container{{
			Name: "main", Image: image, Args: program,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: apiresource.MustParse("50m"), corev1.ResourceMemory: apiresource.MustParse("16Mi"),
			}},
		}},
	}
}

// Deployment creates one whose pods run for ever.
func (u *user) Deployment(name string, replicas int32) {
	u.deploy(name, replicas, template([]string{"forever"}, "app:1", 10))
}

func (u *user) deploy(name string, replicas int32, spec corev1.PodSpec) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
	if u.create(resource.Deployments, d) {
		u.asked[name] = replicas
		u.ordered = append(u.ordered, name)
	}
}

// Pod creates a bare one.
func (u *user) Pod(name string) {
	u.run(name, template([]string{"forever"}, "app:1", 10))
}

func (u *user) run(name string, spec corev1.PodSpec) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}, Spec: spec}
	if u.create(resource.Pods, p) {
		u.bare[name] = true
		u.ordered = append(u.ordered, name)
	}
}

// Single creates a Deployment of pods that must be single: of as many as it has replicas.
func (u *user) Single(name string, replicas int32, spec corev1.PodSpec) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: single}, Spec: spec},
		},
	}
	if u.create(resource.Deployments, d) {
		u.asked[name] = replicas
		u.ordered = append(u.ordered, name)
	}
}

// single is the annotation of pods of which there must be one at most.
var single = map[string]string{resource.PartitionPolicy: resource.PolicyStop}

// strikeSingle does one random thing about pods that must be single.
func (u *user) strikeSingle(spec corev1.PodSpec) {
	w := u.w
	only, some := fmt.Sprintf("only-%d", w.random.Intn(2)), fmt.Sprintf("some-%d", w.random.Intn(2))
	one, own, sel := fmt.Sprintf("one-%d", w.random.Intn(2)), fmt.Sprintf("own-%d", w.random.Intn(2)), fmt.Sprintf("sel-%d", w.random.Intn(2))
	node := w.nodes[w.random.Intn(len(w.nodes))].name
	switch w.random.Intn(14) {
	case 0, 1:
		u.Single(only, 1, spec)
	case 2:
		u.Single(some, int32(1+w.random.Intn(3)), spec)
	case 3, 4:
		u.Scale(some, int32(w.random.Intn(4)))
	case 5:
		u.SetImage([]string{only, some}[w.random.Intn(2)], fmt.Sprintf("app:%d", w.random.Intn(6)))
	case 6:
		u.Delete(resource.Deployments, only, false)
		if w.chance(0.5) {
			u.Single(only, 1, spec)
		}
	case 7:
		u.runSingle(one, spec)
	case 8, 9:
		u.Delete(resource.Pods, one, w.chance(0.5))
		u.runSingle(one, spec)
	case 10:
		if victim := u.anySingle(); victim != "" {
			u.Delete(resource.Pods, victim, w.chance(0.6))
		}
	case 11:
		if w.chance(0.5) {
			u.Drain(node)
		} else {
			u.Cordon(node, false)
		}
	case 12:
		u.Delete(resource.Pods, own, w.chance(0.5))
		if _, ok := w.master.store.View().Get(resource.Nodes.Key("", node)); ok {
			spec.NodeName = node
			u.runSingle(own, spec)
		}
	case 13:
		u.Delete(resource.Pods, sel, w.chance(0.5))
		spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		u.runSingle(sel, spec)
	}
}

// anySingle is the name of a random pod that must be single.
func (u *user) anySingle() string {
	var names []string
	u.w.facts.each(func(p *podFact) {
		if p.single != nil {
			names = append(names, p.name)
		}
	})
	if len(names) == 0 {
		return ""
	}
	return names[u.w.random.Intn(len(names))]
}

// giveUpPinned deletes the pods that can run only on a node that is no more.
func (u *user) giveUpPinned() {
	if u.w.master.down() {
		return
	}
	var lost []string
	u.w.facts.each(func(p *podFact) {
		if n := u.w.byName[p.selects]; p.selects != "" && (n == nil || n.gone) {
			lost = append(lost, p.name)
		}
	})
	for _, name := range lost {
		u.Delete(resource.Pods, name, true)
	}
}

// runSingle creates a bare pod of which there must be one at most.
func (u *user) runSingle(name string, spec corev1.PodSpec) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Annotations: single}, Spec: spec}
	if u.create(resource.Pods, p) {
		u.bare[name] = true
		u.ordered = append(u.ordered, name)
	}
}

// create reports whether the object was acknowledged.
func (u *user) create(r *resource.Resource, o resource.Object) bool {
	m := u.w.master
	if m.down() {
		return false
	}
	u.made++
	o.SetUID(resource.DeriveUID(fmt.Sprintf("user %d", u.made)))
	o.SetCreationTimestamp(metav1.NewTime(m.machine.now().Wall.Truncate(1e9)))
	r.Default(o)
	r.PrepareCreate(o)
	if errs := r.Validate(o, nil); len(errs) > 0 {
		u.w.fail("the user's %s is invalid: %v", o.GetName(), errs)
		return false
	}
	g := resource.NewGroup(m.store.View(), m.machine.now().Wall)
	g.Put(r, o, 0, "asked for")
	return u.commit(g)
}

func (u *user) commit(g *resource.Group) bool {
	if g.Len() == 0 {
		return false
	}
	_, err := (&client{master: u.w.master, who: "user"}).Commit(context.Background(), g.Changes())
	return err == nil
}

// edit changes an object as an update does.
func edit[T resource.Object](u *user, r *resource.Resource, namespace, name string, change func(T)) bool {
	m := u.w.master
	if m.down() {
		return false
	}
	rec, ok := m.store.View().Get(r.Key(namespace, name))
	if !ok {
		return false
	}
	old, err := resource.As[T](r, rec)
	if err != nil {
		u.w.fail("%w", err)
		return false
	}
	updated := old.DeepCopyObject().(T)
	change(updated)
	r.PrepareUpdate(updated, old)
	g := resource.NewGroup(m.store.View(), m.machine.now().Wall)
	g.Put(r, updated, rec.Rev, "asked for")
	return u.commit(g)
}

// Scale sets the replicas of a Deployment.
func (u *user) Scale(name string, replicas int32) {
	if edit(u, resource.Deployments, metav1.NamespaceDefault, name, func(d *appsv1.Deployment) { d.Spec.Replicas = &replicas }) {
		u.asked[name] = replicas
	}
}

// SetImage rolls a Deployment out.
func (u *user) SetImage(name, image string) {
	edit(u, resource.Deployments, metav1.NamespaceDefault, name, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = image
	})
}

// Cordon makes a node unschedulable, or not.
func (u *user) Cordon(node string, cordoned bool) {
	edit(u, resource.Nodes, "", node, func(n *corev1.Node) { n.Spec.Unschedulable = cordoned })
}

// Drain cordons a node and evicts its pods, as kubectl drain does: a mark on each, and a deletion with its own grace. Bare
// pods go with the others (--force).
func (u *user) Drain(node string) {
	u.w.log("user", "DRAINS %s", node)
	u.Cordon(node, true)
	var names []string
	for rec := range u.w.master.store.View().Indexed(resource.Pods.Kind, "spec.nodeName", node) {
		names = append(names, rec.Key.Name)
	}
	for _, name := range names {
		edit(u, resource.Pods, metav1.NamespaceDefault, name, func(p *corev1.Pod) {
			resource.SetPodCondition(p, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
				Message: "Eviction API: evicting", LastTransitionTime: metav1.NewTime(u.w.master.machine.now().Wall.Truncate(1e9)),
			})
		})
		u.Delete(resource.Pods, name, false)
	}
}

// Delete deletes an object as the API does; force asks for no grace.
func (u *user) Delete(r *resource.Resource, name string, force bool) {
	m := u.w.master
	if m.down() {
		return
	}
	view := m.store.View()
	rec, ok := view.Get(r.Key(metav1.NamespaceDefault, name))
	if !ok {
		return
	}
	o, err := r.Decode(rec)
	if err != nil {
		u.w.fail("%w", err)
		return
	}
	g := resource.NewGroup(view, m.machine.now().Wall)
	if force {
		g.DeleteNow(r, o, rec.Rev, "asked for, by force")
	} else {
		g.Delete(r, o, rec.Rev, "asked for")
	}
	// A process that crashes at this write may have done it or not: nobody relies on the object any more.
	delete(u.asked, name)
	delete(u.bare, name)
	u.ordered = slices.DeleteFunc(u.ordered, func(s string) bool { return s == name })
	u.commit(g)
}

// strike does one random thing.
func (u *user) strike() {
	w := u.w
	if w.master.down() {
		return
	}
	grace := []int64{2, 10, 30}[w.random.Intn(3)]
	spec := template(programs[w.random.Intn(len(programs))], []string{"app:1", "app:2", "slow"}[w.random.Intn(3)], grace)
	if w.options.Permits && w.chance(0.7) {
		u.strikeSingle(spec)
		return
	}
	name := fmt.Sprintf("web-%d", w.random.Intn(5))
	pod := fmt.Sprintf("pod-%d", w.random.Intn(4))
	switch w.random.Intn(19) {
	case 16, 17, 18:
		u.strikeSingle(spec)
	case 0, 1, 2:
		u.deploy(name, int32(w.random.Intn(5)*w.scale()), spec)
	case 3, 4:
		u.Scale(name, int32(w.random.Intn(6)*w.scale()))
	case 5:
		u.SetImage(name, fmt.Sprintf("app:%d", w.random.Intn(6)))
	case 6:
		u.run(pod, spec)
	case 7:
		u.Delete(resource.Pods, pod, w.chance(0.3))
	case 8, 9:
		if victim := u.anyPod(); victim != "" {
			u.Delete(resource.Pods, victim, w.chance(0.2))
		}
	case 10:
		u.Delete(resource.Deployments, name, false)
	case 11:
		u.Cordon(w.nodes[w.random.Intn(len(w.nodes))].name, w.chance(0.5))
	case 12:
		u.Delete(resource.Pods, pod, true)
		u.run(pod, spec) // the same name, another uid
	case 15:
		u.Drain(w.nodes[w.random.Intn(len(w.nodes))].name)
	case 14:
		if w.chance(0.5) {
			u.Remove(w.nodes[w.random.Intn(len(w.nodes))].name)
		}
	case 13:
		u.Rotate(w.nodes[w.random.Intn(len(w.nodes))].name)
	}
}

// scale is how much more there is of everything in a big world.
func (w *World) scale() int { return max(1, w.options.Nodes/5) }

// Load creates Deployments of this many pods in all. They have names that the user's random acts leave alone, but the
// faults don't.
func (u *user) Load(pods int) {
	const each = 100
	for i := 0; pods > 0; i++ {
		u.deploy(fmt.Sprintf("fleet-%d", i), int32(min(each, pods)), template([]string{"forever"}, "app:1", 10))
		pods -= each
	}
}

// anyPod is the name of a random pod.
func (u *user) anyPod() string {
	var names []string
	for rec := range u.w.master.store.View().List(resource.Pods.Kind, metav1.NamespaceDefault) {
		names = append(names, rec.Key.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return names[u.w.random.Intn(len(names))]
}

// pods are those in the store, as name → pod.
func (w *World) pods() []*corev1.Pod {
	var out []*corev1.Pod
	for rec := range w.master.store.View().List(resource.Pods.Kind, "") {
		out = append(out, w.pod(rec))
	}
	return out
}

// replan asks planners that know nothing but the state for their plans, and returns the first change.
func (w *World) replan() (string, bool) {
	now := w.master.machine.now()
	view := w.master.store.View()
	for _, p := range w.planners(clock.Now{Wall: now.Wall, Boot: now.Boot}) {
		p.Reset(view)
		groups, _ := p.Plan(view, now)
		for _, g := range groups {
			for _, c := range g {
				return describe(p.Name(), c), true
			}
		}
	}
	return "", false
}

func describe(planner string, c change.Change) string {
	return strings.Join([]string{planner, "wants to write", c.Key.String() + ":", c.Reason}, " ")
}
