package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// names of the items of a list.
func names(list *corev1.ConfigMapList) []string {
	names := []string{}
	for _, c := range list.Items {
		names = append(names, c.Name)
	}
	return names
}

func (a *api) listConfigMaps(query string) *corev1.ConfigMapList {
	a.t.Helper()
	list := &corev1.ConfigMapList{}
	a.get(configMapsPath+query).into(http.StatusOK, list)
	return list
}

// Lists are sorted by name, of one revision, and say what they are a list of.
func TestList(t *testing.T) {
	a := newAPI(t)
	for _, name := range []string{"c", "a", "b"} {
		a.put(resource.ConfigMaps, configMap(name, nil))
	}
	list := a.listConfigMaps("")
	if diff := cmp.Diff([]string{"a", "b", "c"}, names(list)); diff != "" {
		t.Error(diff)
	}
	if list.Kind != "ConfigMapList" || list.APIVersion != "v1" || list.ResourceVersion != a.store.View().Rev().String() {
		t.Errorf("the list says %+v %+v", list.TypeMeta, list.ListMeta)
	}
	if list.Items[0].Kind != "" {
		t.Error("an item of a list repeats its kind")
	}
	empty := &corev1.PodList{}
	a.get("/api/v1/pods").into(http.StatusOK, empty)
	if empty.Items == nil {
		t.Error("the items of an empty list are null, which clients don't expect")
	}
}

// Pages name the same revision, whatever is written meanwhile, and say how many are left.
func TestListPages(t *testing.T) {
	a := newAPI(t)
	for i := range 5 {
		a.put(resource.ConfigMaps, configMap(fmt.Sprint("c", i), nil))
	}
	first := a.listConfigMaps("?limit=2")
	if first.RemainingItemCount == nil || *first.RemainingItemCount != 3 || first.Continue == "" {
		t.Fatalf("the first page says %+v", first.ListMeta)
	}
	a.put(resource.ConfigMaps, configMap("c25", nil)) // would be on the second page
	second := a.listConfigMaps("?limit=2&continue=" + first.Continue)
	third := a.listConfigMaps("?limit=2&continue=" + second.Continue)
	got := append(append(names(first), names(second)...), names(third)...)
	if diff := cmp.Diff([]string{"c0", "c1", "c2", "c3", "c4"}, got); diff != "" {
		t.Error(diff)
	}
	if third.Continue != "" || third.ResourceVersion != first.ResourceVersion {
		t.Errorf("the last page says %+v, the first %+v", third.ListMeta, first.ListMeta)
	}
}

// A token whose revision is gone is 410 Expired; the answer carries a token to go on with, inconsistently.
func TestListExpiredToken(t *testing.T) {
	a := newAPI(t)
	for i := range 4 {
		a.put(resource.ConfigMaps, configMap(fmt.Sprint("c", i), nil))
	}
	first := a.listConfigMaps("?limit=2")
	a.put(resource.ConfigMaps, configMap("c25", nil))
	a.elapsed.Add(int64(snapshotAge + time.Second))
	s := a.get(configMapsPath+"?limit=9&continue="+first.Continue).
		fails(http.StatusGone, metav1.StatusReasonExpired, "The provided continue parameter is too old")
	rest := a.listConfigMaps("?limit=9&continue=" + s.Continue)
	if diff := cmp.Diff([]string{"c2", "c25", "c3"}, names(rest)); diff != "" {
		t.Error(diff)
	}
	a.get(configMapsPath+"?continue=nonsense").fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "continue key is not valid")
}

// Selectors of labels and fields, also where an index answers.
func TestListSelectors(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("a", map[string]string{"app": "x", "tier": "1"}))
	a.put(resource.ConfigMaps, configMap("b", map[string]string{"app": "y"}))
	elsewhere := configMap("a", map[string]string{"app": "x"})
	elsewhere.Namespace = "other"
	a.put(resource.ConfigMaps, elsewhere)
	a.put(resource.Pods, pod("p1", func(p *corev1.Pod) { p.Spec.NodeName = "n1"; p.Status.Phase = corev1.PodRunning }))
	a.put(resource.Pods, pod("p2", func(p *corev1.Pod) { p.Spec.NodeName = "n2"; p.Status.Phase = corev1.PodRunning }))
	a.put(resource.Pods, pod("p3", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }))

	cases := []struct{ path, query, want string }{
		{configMapsPath, "labelSelector=app=x", "a"},
		{configMapsPath, "labelSelector=app in (x,y),tier!=1", "b"},
		{configMapsPath, "labelSelector=!tier", "b"},
		{configMapsPath, "fieldSelector=metadata.name=b", "b"},
		{configMapsPath, "fieldSelector=metadata.name!=b", "a"},
		{"/api/v1/configmaps", "fieldSelector=metadata.namespace=other", "a"},
		{podsPath, "fieldSelector=spec.nodeName=n1", "p1"},
		{podsPath, "fieldSelector=spec.nodeName=", "p3"},
		{podsPath, "fieldSelector=status.phase=Running,spec.nodeName!=n1", "p2"},
		{"/api/v1/namespaces/other/pods", "fieldSelector=spec.nodeName=n1", ""},
	}
	for _, c := range cases {
		key, value, _ := cutQuery(c.query)
		var list metav1.PartialObjectMetadataList
		a.get(c.path+"?"+url.Values{key: {value}}.Encode()).into(http.StatusOK, &list)
		got := ""
		for _, o := range list.Items {
			got += o.Name
		}
		if got != c.want {
			t.Errorf("%s?%s: listed %q, not %q", c.path, c.query, got, c.want)
		}
	}
	a.get(podsPath+"?fieldSelector=spec.color=red").fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "field label not supported: spec.color")
	a.get(podsPath+"?labelSelector=a%3D%3D%3Db").fails(http.StatusBadRequest, metav1.StatusReasonBadRequest, "unable to parse requirement")
}

func cutQuery(q string) (key, value string, ok bool) {
	for i := range q {
		if q[i] == '=' {
			return q[:i], q[i+1:], true
		}
	}
	return q, "", false
}

// resourceVersion: any is 0; NotOlderThan waits for what this master has not seen; Exact is that or nothing.
func TestListResourceVersion(t *testing.T) {
	a := newAPI(t)
	rev := a.put(resource.ConfigMaps, configMap("a", nil))
	if got := names(a.listConfigMaps("?resourceVersion=0")); len(got) != 1 {
		t.Errorf("listed %q", got)
	}
	if got := names(a.listConfigMaps("?resourceVersionMatch=NotOlderThan&resourceVersion=" + rev.String())); len(got) != 1 {
		t.Errorf("listed %q", got)
	}
	if got := names(a.listConfigMaps("?resourceVersionMatch=Exact&resourceVersion=" + rev.String())); len(got) != 1 {
		t.Errorf("listed %q", got)
	}
	a.get(configMapsPath+"?resourceVersion="+(rev+1).String()).fails(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "Too large resource version")
	a.put(resource.ConfigMaps, configMap("b", nil))
	a.get(configMapsPath+"?resourceVersionMatch=Exact&resourceVersion="+rev.String()).fails(http.StatusGone, metav1.StatusReasonExpired, "too old resource version")
	a.get(configMapsPath+"?resourceVersionMatch=Exact").fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "resourceVersionMatch is forbidden unless resourceVersion is provided")
	a.get(configMapsPath+"?resourceVersion=x").fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "resourceVersion")
}

// A Table has one cell a column and carries the metadata of each object, or what includeObject asks for.
func TestListAsTable(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Pods, pod("p"))
	const accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
	for include, kind := range map[string]string{"": "PartialObjectMetadata", "Metadata": "PartialObjectMetadata", "Object": "Pod", "None": ""} {
		var table metav1.Table
		a.do(ask{method: "GET", path: podsPath + "?includeObject=" + include, accept: accept}).into(http.StatusOK, &table)
		if table.Kind != "Table" || len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) || table.Rows[0].Cells[0] != "p" {
			t.Fatalf("the table is %+v", table)
		}
		var o metav1.PartialObjectMetadata
		if kind != "" {
			if err := json.Unmarshal(table.Rows[0].Object.Raw, &o); err != nil {
				t.Fatal(err)
			}
		}
		if o.Kind != kind || kind != "" && o.Name != "p" {
			t.Errorf("includeObject=%s gave %s", include, table.Rows[0].Object.Raw)
		}
	}
	var one metav1.Table
	a.do(ask{method: "GET", path: podsPath + "/p", accept: accept}).into(http.StatusOK, &one)
	if len(one.Rows) != 1 {
		t.Errorf("the table of one pod is %+v", one)
	}
}

// PartialObjectMetadataList is what metadata informers ask for.
func TestListAsPartialMetadata(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Pods, pod("p"))
	var list metav1.PartialObjectMetadataList
	a.do(ask{method: "GET", path: podsPath, accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}).into(http.StatusOK, &list)
	if list.Kind != "PartialObjectMetadataList" || len(list.Items) != 1 || list.Items[0].Name != "p" || list.Items[0].ResourceVersion == "" {
		t.Errorf("listed %+v", list)
	}
}

// Leases are rendered from what was last heard of each node.
func TestListRendered(t *testing.T) {
	a := newAPI(t)
	seen := resource.EncodeSeen(resource.Seen{HeardWall: started.UnixNano(), Online: true})
	a.commit(resource.SeenKind, "n1", seen)
	a.commit(resource.SeenKind, resource.LinkName, seen)
	var list metav1.PartialObjectMetadataList
	a.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").into(http.StatusOK, &list)
	if len(list.Items) != 1 || list.Items[0].Name != "n1" {
		t.Errorf("listed %+v", list.Items)
	}
	const path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"
	if r := a.get(path); r.code != http.StatusOK {
		t.Errorf("answered %d: %s", r.code, r.body)
	}
	a.get("/apis/coordination.k8s.io/v1/namespaces/default/leases/n1").fails(http.StatusNotFound, metav1.StatusReasonNotFound, `leases.coordination.k8s.io "n1" not found`)
	a.do(ask{method: "DELETE", path: path}).fails(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "")
}

// Events are the same objects in both of their versions.
func TestListEventsInBothVersions(t *testing.T) {
	a := newAPI(t)
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "default"}, Reason: "Pulled", Message: "words",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p", Namespace: "default"}, Type: "Normal",
	}
	a.post("/api/v1/namespaces/default/events", e).into(http.StatusCreated, &corev1.Event{})
	var list struct {
		Kind  string
		Items []struct{ Note string }
	}
	a.get("/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name%3Dp").into(http.StatusOK, &list)
	if list.Kind != "EventList" || len(list.Items) != 1 || list.Items[0].Note != "words" {
		t.Errorf("listed %+v", list)
	}
}

// Events come in the order in which they last happened, also those of one second and of one commit; pages together have
// each of them once.
func TestEventsAreListedInTheirOrder(t *testing.T) {
	a := newAPI(t)
	about := resource.Pods.Reference("default", "web", "u")
	record := func(reasons ...string) {
		t.Helper()
		g := resource.NewGroup(a.store.View(), started)
		for _, reason := range reasons {
			g.Record(resource.Occurrence{About: about, Type: corev1.EventTypeNormal, Reason: reason})
		}
		if _, err := a.store.Commit(t.Context(), g.Changes()); err != nil {
			t.Fatal(err)
		}
	}
	record("Scheduled", "Pulling", "Pulled")
	record("Created")
	record("Started", "Killing")
	record("Pulling")
	want := []string{"Scheduled", "Pulled", "Created", "Started", "Killing", "Pulling"}
	for _, path := range []string{"/api/v1/events", "/apis/events.k8s.io/v1/events"} {
		list := &corev1.EventList{}
		a.get(path).into(200, list)
		var got []string
		for _, e := range list.Items {
			got = append(got, e.Reason)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	seen := map[string]int{}
	for next := ""; ; {
		list := &corev1.EventList{}
		a.get("/api/v1/events?limit=4&continue="+next).into(200, list)
		for _, e := range list.Items {
			seen[e.Reason]++
		}
		if next = list.Continue; next == "" {
			break
		}
	}
	for _, reason := range want {
		if seen[reason] != 1 || len(seen) != len(want) {
			t.Errorf("the pages have %v", seen)
			break
		}
	}
}
