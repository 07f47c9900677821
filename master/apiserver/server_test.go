package apiserver

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// Who has no certificate gets 401 for everything but health and version; admins may do everything, viewers
// read, others nothing: 403 in Kubernetes' words.
func TestWhoMayDoWhat(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("c", nil))
	anonymous, viewer, nobody := []string{}, []string{GroupViewers}, []string{"others"}
	cases := []struct {
		method, path string
		groups       []string
		code         int
	}{
		{"GET", "/healthz", anonymous, 200},
		{"GET", "/version", anonymous, 200},
		{"GET", "/api", anonymous, 401},
		{"GET", configMapsPath, anonymous, 401},
		{"GET", "/nothing", anonymous, 401},
		{"GET", "/apis", nobody, 200},
		{"GET", configMapsPath, nobody, 403},
		{"GET", configMapsPath, viewer, 200},
		{"GET", configMapsPath + "/c", viewer, 200},
		{"DELETE", configMapsPath + "/c", viewer, 403},
		{"POST", configMapsPath, viewer, 403},
		{"PATCH", configMapsPath + "/c", viewer, 403},
		{"GET", podsPath + "/p/exec", viewer, 403},
		{"DELETE", configMapsPath + "/c", nil, 200},
	}
	for _, c := range cases {
		if r := a.do(ask{method: c.method, path: c.path, groups: c.groups}); r.code != c.code {
			t.Errorf("%s %s by %v: answered %d, not %d: %s", c.method, c.path, c.groups, r.code, c.code, r.body)
		}
	}
	a.do(ask{method: "GET", path: configMapsPath, groups: nobody}).fails(http.StatusForbidden, metav1.StatusReasonForbidden,
		`configmaps is forbidden: User "somebody" cannot list resource "configmaps" in API group "" in the namespace "default"`)
}

// Paths that name nothing are 404, verbs that a resource doesn't have 405.
func TestUnknownPathsAndVerbs(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{
		"/nothing", "/api/v2/pods", "/api/v1/secretz", "/apis/apps/v1", "/apis/batch/v1/jobs",
		"/api/v1/namespaces/default/nodes", "/api/v1/pods/p", "/api/v1/namespaces//pods", podsPath + "/p/nothing", podsPath + "/p/status/x",
	} {
		want := http.StatusNotFound
		if path == "/apis/apps/v1" {
			want = http.StatusOK
		}
		if r := a.get(path); r.code != want {
			t.Errorf("%s: answered %d: %s", path, r.code, r.body)
		}
	}
	a.get("/api/v1/nothing").fails(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	for _, q := range []ask{{method: "PUT", path: podsPath}, {method: "POST", path: podsPath + "/p"}, {method: "BREW", path: podsPath}, {method: "POST", path: podsPath + "/p/status"}} {
		a.do(q).fails(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "does not allow this method")
	}
}

// Both forms of discovery name every kind, with its short names, categories and subresources.
func TestDiscovery(t *testing.T) {
	a := newAPI(t)
	var core metav1.APIResourceList
	a.get("/api/v1").into(http.StatusOK, &core)
	found := map[string]metav1.APIResource{}
	for _, r := range core.APIResources {
		found[r.Name] = r
	}
	if p := found["pods"]; p.Kind != "Pod" || !p.Namespaced || p.ShortNames[0] != "po" || p.Categories[0] != "all" {
		t.Errorf("pods are %+v", p)
	}
	if found["pods/status"].Kind != "Pod" || found["pods/binding"].Kind != "Binding" {
		t.Errorf("the subresources are %+v", core.APIResources)
	}
	var groups metav1.APIGroupList
	a.get("/apis").into(http.StatusOK, &groups)
	var all discoveryv2.APIGroupDiscoveryList
	r := a.do(ask{method: "GET", path: "/apis", accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json"})
	r.into(http.StatusOK, &all)
	if r.header.Get("Content-Type") != aggregatedType || len(all.Items) != len(groups.Groups) {
		t.Fatalf("%d groups, and aggregated %d as %s", len(groups.Groups), len(all.Items), r.header.Get("Content-Type"))
	}
	for _, g := range all.Items {
		var list metav1.APIResourceList
		a.get("/apis/"+g.Name+"/"+g.Versions[0].Version).into(http.StatusOK, &list)
		n := 0
		for _, res := range g.Versions[0].Resources {
			n += 1 + len(res.Subresources)
			if res.Resource == "deployments" && (len(res.Subresources) != 2 || res.Subresources[1].ResponseKind.Group != "autoscaling") {
				t.Errorf("deployments are %+v", res)
			}
		}
		if n != len(list.APIResources) {
			t.Errorf("%s: %d resources in one form, %d in the other", g.Name, len(list.APIResources), n)
		}
	}
}

// kubectl refuses to compare versions that aren't semantic.
func TestVersion(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Version = "0.1.0+g12ab_c" })
	var v version.Info
	a.get("/version").into(http.StatusOK, &v)
	if v.GitVersion != "v1.37.2+skerry.0.1.0-g12ab-c" || v.Major != "1" || v.Minor != "37" {
		t.Errorf("the version is %+v", v)
	}
}

// readyz says why not.
func TestReadyz(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Ready = func() error { return errors.New("no leader") } })
	if r := a.get("/readyz"); r.code != http.StatusServiceUnavailable || !strings.Contains(string(r.body), "no leader") {
		t.Errorf("answered %d %s", r.code, r.body)
	}
	if r := a.get("/livez"); r.code != http.StatusOK {
		t.Errorf("answered %d %s", r.code, r.body)
	}
}

// The documents of OpenAPI are found through the index, whose URLs name their content; another hash leads there.
func TestOpenAPI(t *testing.T) {
	a := newAPI(t)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	a.get("/openapi/v3").into(http.StatusOK, &index)
	url := index.Paths["apis/apps/v1"].ServerRelativeURL
	r := a.get(url)
	if r.code != http.StatusOK || !strings.Contains(string(r.body), `"io.k8s.api.apps.v1.Deployment"`) || !strings.Contains(r.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s answered %d %v", url, r.code, r.header)
	}
	old := a.get("/openapi/v3/apis/apps/v1?hash=OLD")
	if old.code != http.StatusMovedPermanently || old.header.Get("Location") != url {
		t.Errorf("an old hash answered %d %v", old.code, old.header)
	}
	if same := a.do(ask{method: "GET", path: url, header: http.Header{"If-None-Match": {r.header.Get("Etag")}}}); same.code != http.StatusNotModified {
		t.Errorf("the same content answered %d", same.code)
	}
}

// Who finds no place is told to come again.
func TestTooManyRequests(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newAPI(t, func(c *Config) { c.MaxRequests, c.MaxWatches, c.Metrics = 1, 1, registry })
	release, err := a.server.limits.request()
	if err != nil {
		t.Fatal(err)
	}
	r := a.get(podsPath)
	r.fails(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "Too many requests")
	if r.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
	if r := a.get("/healthz"); r.code != http.StatusOK {
		t.Errorf("health answered %d", r.code)
	}
	release()
	if r := a.get(podsPath); r.code != http.StatusOK {
		t.Errorf("answered %d", r.code)
	}
	if _, err := a.server.limits.watch(); err != nil {
		t.Fatal(err)
	}
	a.get(podsPath+"?watch=true").fails(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "")
	families, err := registry.Gather()
	if err != nil || len(families) != 3 {
		t.Errorf("gathered %d metrics: %v", len(families), err)
	}
}

// A panic is one 500, not the end of the master.
func TestPanic(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Store = panicking{c.Store} })
	a.get(podsPath).fails(http.StatusInternalServerError, metav1.StatusReasonInternalError, "an error of its own")
}

type panicking struct{ store.Store }

func (panicking) View() change.View { panic("broken") }

// Errors of the store have one answer each.
func TestStoreErrors(t *testing.T) {
	gr := resource.Pods.GVR().GroupResource()
	for err, want := range map[error]int32{
		store.ErrNotLeader: 503, store.ErrClosed: 503, store.ErrFull: 507, store.ErrCompacted: 410,
		&store.ConflictError{}: 409, errors.New("else"): 500,
	} {
		s := statusOf(err, gr, "p").ErrStatus
		if s.Code != want || s.Message == "" {
			t.Errorf("%v: answered %d %q", err, s.Code, s.Message)
		}
	}
}
