package apiserver

import (
	"context"
	"net/http"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

func (a *api) update(path string, body any) reply {
	a.t.Helper()
	return a.do(ask{method: "PUT", path: path, body: body})
}

func (a *api) patch(path, kind, body string) reply {
	a.t.Helper()
	return a.do(ask{method: "PATCH", path: path, body: body, contentType: kind})
}

const (
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
)

// An update that names the newest resourceVersion, or none, succeeds; an old one is 409 Conflict.
func TestUpdateConflict(t *testing.T) {
	a := newAPI(t)
	var c corev1.ConfigMap
	a.post(configMapsPath, configMap("c", nil)).into(http.StatusCreated, &c)
	c.Data = map[string]string{"a": "1"}
	var second corev1.ConfigMap
	a.update(configMapsPath+"/c", c).into(http.StatusOK, &second)
	if second.ResourceVersion == c.ResourceVersion {
		t.Error("the update kept its resourceVersion")
	}
	c.Data = map[string]string{"a": "2"}
	a.update(configMapsPath+"/c", c).fails(http.StatusConflict, metav1.StatusReasonConflict,
		`Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again`)
	c.ResourceVersion = ""
	a.update(configMapsPath+"/c", c).into(http.StatusOK, &second)
	if second.Data["a"] != "2" {
		t.Errorf("stored %v", second.Data)
	}
}

// An update that changes nothing writes nothing: the resourceVersion stays.
func TestUpdateNothing(t *testing.T) {
	a := newAPI(t)
	var c, again corev1.ConfigMap
	a.post(configMapsPath, configMap("c", nil)).into(http.StatusCreated, &c)
	a.update(configMapsPath+"/c", c).into(http.StatusOK, &again)
	if again.ResourceVersion != c.ResourceVersion {
		t.Errorf("went from %s to %s", c.ResourceVersion, again.ResourceVersion)
	}
}

// An update is of the object that the path names, which must exist and be the same one.
func TestUpdateIdentity(t *testing.T) {
	a := newAPI(t)
	var c corev1.ConfigMap
	a.post(configMapsPath, configMap("c", nil)).into(http.StatusCreated, &c)
	a.update(configMapsPath+"/d", configMap("d", nil)).fails(http.StatusNotFound, metav1.StatusReasonNotFound, `configmaps "d" not found`)
	a.update(configMapsPath+"/c", configMap("d", nil)).fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the name of the object (d) does not match the name on the URL (c)")
	c.UID = "other"
	a.update(configMapsPath+"/c", c).fails(http.StatusConflict, metav1.StatusReasonConflict, "Precondition failed: UID in precondition: other")
}

// A pod's spec is all but immutable; its status is not written through the pod, nor its spec through status.
func TestUpdateKeepsWhatIsNotItsOwn(t *testing.T) {
	a := newAPI(t)
	p := a.post(podsPath, pod("p")).pod(http.StatusCreated)
	p.Status.Phase = corev1.PodRunning
	p.Labels = map[string]string{"a": "b"}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	p = a.update(podsPath+"/p", p).pod(http.StatusOK)
	if p.Status.Phase != corev1.PodPending || p.Labels["a"] != "b" || p.ManagedFields != nil {
		t.Errorf("the update stored %+v", p)
	}
	p.Status.Phase = corev1.PodRunning
	p.Spec.Containers[0].Image = "other"
	p = a.update(podsPath+"/p/status", p).pod(http.StatusOK)
	if p.Status.Phase != corev1.PodRunning || p.Spec.Containers[0].Image != "busybox" {
		t.Errorf("the update of the status stored %+v", p)
	}
	p.Spec.Containers[0].Name = "other"
	a.update(podsPath+"/p", p).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "pod updates may not change fields other than")
}

// JSON, merge and strategic-merge patches; lists of containers merge by name in the last.
func TestPatchKinds(t *testing.T) {
	a := newAPI(t)
	a.post(deploymentsPath, deployment("d", 1)).into(http.StatusCreated, &appsv1.Deployment{})
	path := deploymentsPath + "/d"
	var d appsv1.Deployment
	a.patch(path, jsonPatch, `[{"op":"replace","path":"/spec/replicas","value":3}]`).into(http.StatusOK, &d)
	if *d.Spec.Replicas != 3 {
		t.Errorf("the JSON patch gave %d", *d.Spec.Replicas)
	}
	a.patch(path, mergePatch, `{"metadata":{"labels":{"a":"b"}},"spec":{"replicas":4}}`).into(http.StatusOK, &d)
	if *d.Spec.Replicas != 4 || d.Labels["a"] != "b" {
		t.Errorf("the merge patch gave %+v", d)
	}
	a.patch(path, strategicPatch, `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"new"}]}}}}`).into(http.StatusOK, &d)
	if c := d.Spec.Template.Spec.Containers; len(c) != 1 || c[0].Image != "new" || d.Generation != 4 {
		t.Errorf("the strategic-merge patch gave %+v", d)
	}
}

// What a patch may not do: fail its own test, change what others changed, make an invalid or unknown field,
// be a server-side apply.
func TestPatchRefusals(t *testing.T) {
	a := newAPI(t)
	a.post(configMapsPath, configMap("c", nil)).into(http.StatusCreated, &corev1.ConfigMap{})
	path := configMapsPath + "/c"
	a.patch(path, jsonPatch, `[{"op":"test","path":"/metadata/name","value":"d"}]`).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "")
	a.patch(path, mergePatch, `{"metadata":{"resourceVersion":"1"}}`).fails(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	a.patch(path+"?fieldValidation=Strict", mergePatch, `{"dta":{}}`).fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, `unknown field "dta"`)
	a.patch(path, mergePatch, `{"data":`).fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "")
	a.patch(configMapsPath+"/d", mergePatch, `{}`).fails(http.StatusNotFound, metav1.StatusReasonNotFound, "")
	a.patch(path, "application/apply-patch+yaml", `{}`).fails(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "server-side apply is not supported")
	a.patch(path, "text/plain", `{}`).fails(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "accepted media types")
}

// A JSON patch can't grow a document beyond the bound of bodies, however few bytes it has itself.
func TestPatchBomb(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("c", nil))
	bomb := `[{"op":"add","path":"/x","value":["0123456789"]}`
	for range 40 { // each doubles the list
		bomb += `,{"op":"copy","from":"/x","path":"/x/0"}`
	}
	a.patch(configMapsPath+"/c", jsonPatch, bomb+"]").fails(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, "limit is")
}

// interfering is a store in which somebody else writes just before the first commits.
type interfering struct {
	store.Store
	before []func()
}

func (i *interfering) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if len(i.before) > 0 {
		do := i.before[0]
		i.before = i.before[1:]
		do()
	}
	return i.Store.Commit(ctx, changes)
}

// A patch without a resourceVersion is made anew on what somebody else has written meanwhile.
func TestPatchTriesAgain(t *testing.T) {
	between := &interfering{}
	a := newAPI(t, func(c *Config) { between.Store = c.Store; c.Store = between })
	a.put(resource.ConfigMaps, configMap("c", nil))
	other := configMap("c", map[string]string{"other": "wrote"})
	between.before = []func(){func() { a.put(resource.ConfigMaps, other) }}
	var c corev1.ConfigMap
	a.patch(configMapsPath+"/c", mergePatch, `{"data":{"a":"b"}}`).into(http.StatusOK, &c)
	if c.Labels["other"] != "wrote" || c.Data["a"] != "b" {
		t.Errorf("stored %+v", c)
	}
	// An object does not come into a namespace whose deletion began while it was being created.
	ending := namespace("default", nil)
	ending.DeletionTimestamp = &metav1.Time{Time: started}
	between.before = []func(){func() { a.put(resource.Namespaces, ending) }}
	a.post(configMapsPath, configMap("late", nil)).fails(http.StatusForbidden, metav1.StatusReasonForbidden, "is being terminated")
}

// The scale subresource shows and sets the number of replicas.
func TestScale(t *testing.T) {
	a := newAPI(t)
	a.post(deploymentsPath, deployment("d", 2)).into(http.StatusCreated, &appsv1.Deployment{})
	path := deploymentsPath + "/d/scale"
	var s autoscalingv1.Scale
	a.get(path).into(http.StatusOK, &s)
	if s.Kind != "Scale" || s.APIVersion != "autoscaling/v1" || s.Spec.Replicas != 2 || s.Status.Selector != "app=d" {
		t.Errorf("the scale is %+v", s)
	}
	s.Spec.Replicas = 5
	a.update(path, s).into(http.StatusOK, &s)
	a.patch(path, mergePatch, `{"spec":{"replicas":6}}`).into(http.StatusOK, &s)
	var d appsv1.Deployment
	a.get(deploymentsPath+"/d").into(http.StatusOK, &d)
	if *d.Spec.Replicas != 6 || d.Generation != 3 {
		t.Errorf("the deployment is %+v", d)
	}
	a.patch(path, mergePatch, `{"spec":{"replicas":-1}}`).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `Scale.autoscaling "d" is invalid: spec.replicas`)
	a.get(configMapsPath+"/c/scale").fails(http.StatusNotFound, metav1.StatusReasonNotFound, "could not find the requested resource")
}

// A pod is bound once, to a node that exists.
func TestBinding(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	a.post(podsPath, pod("p")).pod(http.StatusCreated)
	bind := func(node string) reply {
		return a.post(podsPath+"/p/binding", &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: node}})
	}
	bind("nope").fails(http.StatusNotFound, metav1.StatusReasonNotFound, `nodes "nope" not found`)
	var s metav1.Status
	bind("n").into(http.StatusCreated, &s)
	p := a.get(podsPath + "/p").pod(http.StatusOK)
	if p.Spec.NodeName != "n" || resource.PodCondition(p, corev1.PodScheduled) == nil {
		t.Errorf("bound: %+v", p)
	}
	bind("n").fails(http.StatusConflict, metav1.StatusReasonConflict, `pod p is already assigned to node "n"`)
}
