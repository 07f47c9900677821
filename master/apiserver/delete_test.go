package apiserver

import (
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

func (a *api) delete(path string, body any) reply {
	a.t.Helper()
	return a.do(ask{method: "DELETE", path: path, body: body})
}

// success checks that an object went at once.
func (r reply) success(name string) {
	r.t.Helper()
	var s metav1.Status
	r.into(http.StatusOK, &s)
	if s.Kind != "Status" || s.Status != metav1.StatusSuccess || s.Details == nil || s.Details.Name != name {
		r.t.Errorf("answered %s", r.body)
	}
}

// What nothing holds goes at once.
func TestDelete(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("c", nil))
	a.delete(configMapsPath+"/c", nil).success("c")
	a.delete(configMapsPath+"/c", nil).fails(http.StatusNotFound, metav1.StatusReasonNotFound, `configmaps "c" not found`)
}

// Preconditions name the object that is meant; a dry run deletes nothing.
func TestDeletePreconditions(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("c", nil))
	a.delete(configMapsPath+"/c", `{"preconditions":{"uid":"other"}}`).fails(http.StatusConflict, metav1.StatusReasonConflict, "Precondition failed: UID in precondition: other")
	a.delete(configMapsPath+"/c", `{"preconditions":{"resourceVersion":"1"}}`).fails(http.StatusConflict, metav1.StatusReasonConflict, "Precondition failed: ResourceVersion")
	a.delete(configMapsPath+"/c?dryRun=All", nil).success("c")
	a.delete(configMapsPath+"/c", `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"]}`).success("c")
	a.get(configMapsPath+"/c").into(http.StatusOK, &corev1.ConfigMap{})
}

// A pod that has a node gets its grace period; a second deletion can only shorten it; 0 ends it.
func TestDeletePodGracefully(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	bound := func(p *corev1.Pod) { p.Spec.NodeName = "n" }
	a.put(resource.Pods, pod("p", bound))
	p := a.delete(podsPath+"/p", nil).pod(http.StatusOK)
	if p.DeletionTimestamp == nil || !p.DeletionTimestamp.Time.Equal(started.Add(30*time.Second)) || *p.DeletionGracePeriodSeconds != 30 {
		t.Fatalf("deleted: %+v", p.ObjectMeta)
	}
	a.elapsed.Add(int64(5 * time.Second))
	if again := a.delete(podsPath+"/p", nil).pod(http.StatusOK); again.ResourceVersion != p.ResourceVersion {
		t.Errorf("the second deletion changed %+v", again.ObjectMeta)
	}
	p = a.delete(podsPath+"/p", `{"gracePeriodSeconds":10}`).pod(http.StatusOK)
	if !p.DeletionTimestamp.Time.Equal(started.Add(10*time.Second)) || *p.DeletionGracePeriodSeconds != 10 {
		t.Errorf("shortened: %+v", p.ObjectMeta)
	}
	a.delete(podsPath+"/p?gracePeriodSeconds=0", nil).success("p")

	a.put(resource.Pods, pod("unbound"))
	a.delete(podsPath+"/unbound", nil).success("unbound")
	a.put(resource.Pods, pod("lost", func(p *corev1.Pod) { p.Spec.NodeName = "gone" }))
	a.delete(podsPath+"/lost", nil).success("lost")
}

// Finalizers hold an object; the update that removes the last one deletes it, and none may be added.
func TestDeleteFinalizers(t *testing.T) {
	a := newAPI(t)
	c := configMap("c", nil)
	c.Finalizers = []string{"example.com/a"}
	a.put(resource.ConfigMaps, c)
	var held corev1.ConfigMap
	a.delete(configMapsPath+"/c", nil).into(http.StatusOK, &held)
	if held.Kind != "ConfigMap" || held.DeletionTimestamp == nil {
		t.Fatalf("deleted: %+v", held)
	}
	a.patch(configMapsPath+"/c", mergePatch, `{"metadata":{"finalizers":["example.com/a","example.com/b"]}}`).
		fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "no new finalizers can be added if the object is being deleted")
	a.patch(configMapsPath+"/c", mergePatch, `{"metadata":{"finalizers":null}}`).into(http.StatusOK, &held)
	a.get(configMapsPath+"/c").fails(http.StatusNotFound, metav1.StatusReasonNotFound, "")
}

// propagationPolicy leaves the finalizer that the garbage collector goes by.
func TestDeletePropagation(t *testing.T) {
	a := newAPI(t)
	for policy, finalizer := range map[string]string{"Orphan": "orphan", "Foreground": "foregroundDeletion"} {
		name := "d" + finalizer[:1]
		a.post(deploymentsPath, deployment(name, 1)).into(http.StatusCreated, &appsv1.Deployment{})
		var d appsv1.Deployment
		a.delete(deploymentsPath+"/"+name, `{"propagationPolicy":"`+policy+`"}`).into(http.StatusOK, &d)
		if len(d.Finalizers) != 1 || d.Finalizers[0] != finalizer || d.DeletionTimestamp == nil {
			t.Errorf("%s: %+v", policy, d.ObjectMeta)
		}
	}
	a.post(deploymentsPath, deployment("b", 1)).into(http.StatusCreated, &appsv1.Deployment{})
	a.delete(deploymentsPath+"/b", `{"propagationPolicy":"Background"}`).success("b")
	a.delete(deploymentsPath+"/x", `{"propagationPolicy":"Sideways"}`).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "propagationPolicy")
}

// A namespace is Terminating until it has been emptied; the usual ones stay.
func TestDeleteNamespace(t *testing.T) {
	a := newAPI(t)
	a.post("/api/v1/namespaces", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}).into(http.StatusCreated, &corev1.Namespace{})
	var n corev1.Namespace
	a.delete("/api/v1/namespaces/x", nil).into(http.StatusOK, &n)
	if n.Kind != "Namespace" || n.DeletionTimestamp == nil || n.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("deleted: %+v", n)
	}
	a.delete("/api/v1/namespaces/default", nil).fails(http.StatusForbidden, metav1.StatusReasonForbidden, `namespaces "default" is forbidden: this namespace may not be deleted`)
}

// deletecollection deletes what the selectors select.
func TestDeleteCollection(t *testing.T) {
	a := newAPI(t)
	for name, app := range map[string]string{"a": "x", "b": "y", "c": "x"} {
		a.put(resource.ConfigMaps, configMap(name, map[string]string{"app": app}))
	}
	var deleted corev1.ConfigMapList
	a.delete(configMapsPath+"?labelSelector=app%3Dx", nil).into(http.StatusOK, &deleted)
	if left := names(a.listConfigMaps("")); len(deleted.Items) != 2 || len(left) != 1 || left[0] != "b" {
		t.Errorf("deleted %q and left %q", names(&deleted), left)
	}
	a.delete("/api/v1/configmaps", nil).fails(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "")
}
