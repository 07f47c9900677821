package apiserver

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// "create" stores an object, gives it its uid, time and resourceVersion, and answers 201 with it.
func TestCreateSaysWhatTheServerAdds(t *testing.T) {
	a := newAPI(t)
	p := a.post(podsPath, pod("p", func(p *corev1.Pod) { p.Namespace = "" })).pod(http.StatusCreated)
	if p.UID == "" || p.ResourceVersion == "" || !p.CreationTimestamp.Time.Equal(started) || p.Namespace != "default" {
		t.Errorf("created %+v", p.ObjectMeta)
	}
	if p.Status.Phase != corev1.PodPending || p.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Errorf("status or defaults are missing: %+v", p)
	}
	if again := a.get(podsPath + "/p").pod(http.StatusOK); again.ResourceVersion != p.ResourceVersion || again.UID != p.UID {
		t.Errorf("created %+v but stored %+v", p.ObjectMeta, again.ObjectMeta)
	}
}

// A name is taken once, with kubectl's words.
func TestCreateTwice(t *testing.T) {
	a := newAPI(t)
	a.post(podsPath, pod("p")).pod(http.StatusCreated)
	a.post(podsPath, pod("p")).fails(http.StatusConflict, metav1.StatusReasonAlreadyExists, `pods "p" already exists`)
}

// generateName gets five random letters; two creates never meet.
func TestCreateGeneratesNames(t *testing.T) {
	a := newAPI(t)
	names := map[string]bool{}
	for range 20 {
		p := a.post(podsPath, pod("", func(p *corev1.Pod) { p.GenerateName = "web-" })).pod(http.StatusCreated)
		if !strings.HasPrefix(p.Name, "web-") || len(p.Name) != len("web-")+5 {
			t.Fatalf("generated %q", p.Name)
		}
		names[p.Name] = true
	}
	if len(names) != 20 {
		t.Errorf("20 creates made %d names", len(names))
	}
}

// dryRun=All answers as if, and stores nothing.
func TestCreateDryRun(t *testing.T) {
	a := newAPI(t)
	a.post(podsPath+"?dryRun=All", pod("p")).pod(http.StatusCreated)
	a.get(podsPath+"/p").fails(http.StatusNotFound, metav1.StatusReasonNotFound, `pods "p" not found`)
	a.post(podsPath+"?dryRun=Some", pod("p")).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "dryRun")
}

// fieldValidation: Strict refuses unknown and repeated fields by name, Warn warns and goes on, Ignore is silent;
// without it the server warns.
func TestCreateFieldValidation(t *testing.T) {
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"},"dta":{"a":"b"},"data":{"a":"1"},"data":{"a":"2"}}`
	words := []string{`unknown field "dta"`, `duplicate field "data"`}
	a := newAPI(t)
	refusal := a.post(configMapsPath+"?fieldValidation=Strict", strings.Replace(body, "NAME", "strict", 1)).
		fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: `)
	for _, w := range words {
		if !strings.Contains(refusal.Message, w) {
			t.Errorf("the refusal %q does not say %q", refusal.Message, w)
		}
	}
	for mode, warns := range map[string]bool{"Warn": true, "": true, "Ignore": false} {
		r := a.post(configMapsPath+"?fieldValidation="+mode, strings.Replace(body, "NAME", "x"+strings.ToLower(mode), 1))
		if r.code != http.StatusCreated {
			t.Fatalf("%q: answered %d: %s", mode, r.code, r.body)
		}
		warnings := strings.Join(r.header.Values("Warning"), " ")
		for _, w := range words {
			if got := strings.Contains(warnings, strings.ReplaceAll(w, `"`, `\"`)); got != warns {
				t.Errorf("%q: warns %q", mode, warnings)
			}
		}
	}
	yaml := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata: {a: b}\ndata: {a: c}\n"
	a.do(ask{method: "POST", path: configMapsPath + "?fieldValidation=Strict", body: yaml, contentType: mediaYAML}).
		fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, `key "data" already set in map`)
}

// Validation errors are 422 Invalid with one cause a field.
func TestCreateInvalid(t *testing.T) {
	a := newAPI(t)
	s := a.post(podsPath, pod("Bad_Name", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "" })).
		fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `Pod "Bad_Name" is invalid`)
	found := map[string]bool{}
	for _, cause := range s.Details.Causes {
		found[cause.Field] = true
	}
	if !found["metadata.name"] || !found["spec.containers[0].image"] {
		t.Errorf("the causes are %+v", s.Details.Causes)
	}
	a.post(podsPath, pod("")).fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "name or generateName is required")
}

// The namespace of a new object must be that of the path, exist, and not be going away.
func TestCreateNeedsANamespace(t *testing.T) {
	a := newAPI(t)
	a.post("/api/v1/namespaces/nope/pods", pod("p", func(p *corev1.Pod) { p.Namespace = "" })).
		fails(http.StatusNotFound, metav1.StatusReasonNotFound, `namespaces "nope" not found`)
	a.post("/api/v1/namespaces/nope/pods", pod("p")).
		fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the namespace of the provided object does not match the namespace sent on the request")
	ending := namespace("ending", nil)
	ending.DeletionTimestamp = &metav1.Time{Time: started}
	a.put(resource.Namespaces, ending)
	s := a.post("/api/v1/namespaces/ending/pods", pod("p", func(p *corev1.Pod) { p.Namespace = "ending" })).
		fails(http.StatusForbidden, metav1.StatusReasonForbidden, `pods "p" is forbidden: unable to create new content in namespace ending because it is being terminated`)
	if len(s.Details.Causes) != 1 || s.Details.Causes[0].Type != corev1.NamespaceTerminatingCause {
		t.Errorf("the causes are %+v", s.Details.Causes)
	}
	a.post("/api/v1/pods", pod("p")).fails(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "does not allow this method")
}

// A namespace lets in what its label says: without one, no pod that reaches into its node. What makes such pods is
// let in with a warning.
func TestPodSecurity(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Namespaces, namespace("free", map[string]string{resource.PrivilegedLabel: resource.PrivilegedLevel}))
	a.put(resource.Namespaces, namespace("tight", map[string]string{resource.PrivilegedLabel: "restricted"}))
	host := pod("p", func(p *corev1.Pod) { p.Spec.HostNetwork = true })
	a.post(podsPath, host).fails(http.StatusForbidden, metav1.StatusReasonForbidden,
		`pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true); if it may, label the namespace`)

	made := deployment("d", 1)
	made.Spec.Template.Spec.HostNetwork = true
	r := a.post(deploymentsPath, made)
	const warning = `299 - "would violate PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"`
	if got := r.header.Values("Warning"); r.code != http.StatusCreated || len(got) != 1 || got[0] != warning {
		t.Errorf("a deployment of such pods: %d, warnings %q", r.code, got)
	}

	host.Namespace = "free"
	r = a.post("/api/v1/namespaces/free/pods", host)
	if r.pod(http.StatusCreated); len(r.header.Values("Warning")) != 0 {
		t.Errorf("where it may: %q", r.header.Values("Warning"))
	}
	plain := pod("p", func(p *corev1.Pod) { p.Namespace = "tight" })
	a.post("/api/v1/namespaces/tight/pods", plain).fails(http.StatusForbidden, metav1.StatusReasonForbidden,
		`violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)`)

	a.post("/api/v1/namespaces", namespace("odd", map[string]string{resource.PrivilegedLabel: "lax"})).fails(
		http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `Invalid value: "lax": must be one of privileged, baseline, restricted`)
}

// A pod that was let in may change in all but what it runs once its namespace is no longer for such pods.
func TestPodSecurityOfUpdates(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Namespaces, namespace("free", map[string]string{resource.PrivilegedLabel: resource.PrivilegedLevel}))
	const path = "/api/v1/namespaces/free/pods/p"
	host := pod("p", func(p *corev1.Pod) { p.Namespace, p.Spec.HostNetwork = "free", true })
	a.post("/api/v1/namespaces/free/pods", host).pod(http.StatusCreated)
	r := a.patch("/api/v1/namespaces/free", mergePatch, `{"metadata":{"labels":{"`+resource.PrivilegedLabel+`":null}}}`)
	if got := strings.Join(r.header.Values("Warning"), "\n"); !strings.Contains(got, "existing pods in namespace") || !strings.Contains(got, "p: host namespaces") {
		t.Errorf("taking the label away warns of %s", got)
	}
	a.patch(path, mergePatch, `{"metadata":{"labels":{"a":"b"}}}`).pod(http.StatusOK)
	a.patch(path, strategicPatch, `{"spec":{"containers":[{"name":"c","image":"mine"}]}}`).fails(
		http.StatusForbidden, metav1.StatusReasonForbidden, "violates PodSecurity")
}

// A body of another kind or version than the path's is refused.
func TestCreateWrongKind(t *testing.T) {
	a := newAPI(t)
	a.post(podsPath, configMap("c", nil)).fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, `ConfigMap in version "v1" cannot be handled as a Pod`)
	a.post(deploymentsPath, strings.NewReplacer("apps/v1", "apps/v1beta1").Replace(`{"apiVersion":"apps/v1","kind":"Deployment"}`)).
		fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)")
	old := pod("p")
	old.ResourceVersion = "7"
	a.post(podsPath, old).fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "resourceVersion should not be set on objects to be created")
}

// Bodies above 3 MiB are refused before they are read, and while they are.
func TestCreateBodyTooLarge(t *testing.T) {
	a := newAPI(t)
	large := configMap("c", nil)
	large.Data = map[string]string{"a": strings.Repeat("x", maxBody)}
	a.post(configMapsPath, large).fails(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, "limit is 3145728")
}
