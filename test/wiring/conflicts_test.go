package wiring

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/lab"
)

type lostWrite struct {
	ID, Kind, Namespace, Name, By, Master, Epoch, Reason string
	Deleted                                              bool
	Lost, Current                                        json.RawMessage
}

const conflictsPath = "/apis/skerry.dev/v1/conflicts"

func (w *world) conflicts() map[string]lostWrite {
	var list struct{ Items []lostWrite }
	w.call("GET", conflictsPath, nil, &list)
	out := map[string]lostWrite{}
	for _, c := range list.Items {
		out[c.Kind+"/"+c.Name] = c
	}
	return out
}

// write sets the one value of a ConfigMap or a Secret.
func (w *world) write(resource, name, value string) bool {
	w.t.Helper()
	kind := map[string]string{"configmaps": "ConfigMap", "secrets": "Secret"}[resource]
	field := map[string]string{"configmaps": "data", "secrets": "stringData"}[resource]
	object := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}, field: map[string]string{"v": value}}
	path := "/api/v1/namespaces/default/" + resource
	code := w.call("PUT", path+"/"+name, object, nil)
	if code == 404 {
		code = w.call("POST", path, object, nil)
	}
	return code == 200 || code == 201
}

func (w *world) value(name string) string {
	var m corev1.ConfigMap
	w.call("GET", "/api/v1/namespaces/default/configmaps/"+name, nil, &m)
	return m.Data["v"]
}

// A site is cut off, and its master goes on; another leads elsewhere; both are written to. What loses is kept: it is listed
// with who wrote it, on which master and in which epoch, an Event of the object says so, and what it would change is shown, but
// for a Secret's values. Accepting it writes it as an ordinary update, or answers 409; discarding it forgets it.
func TestConflicts(t *testing.T) {
	e := startEtcd(t)
	line, err := lab.NewUplink(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.Close)
	near := newSite(t, e)
	near.config.Etcd.URLs = []string{line.URL()}
	near.startMaster()
	_, token := near.masterToken(map[string]any{"ttlSeconds": 3600, "uses": 1})
	far := near.beside()
	far.config.Etcd.URLs, far.config.JoinMasters = []string{e.URL}, token
	far.startMaster()
	for _, name := range []string{"both", "gone", "anew", "forgotten"} {
		near.until("a ConfigMap is written", func() bool { return near.write("configmaps", name, "before") })
	}
	near.write("secrets", "crown", "old-hush")
	far.until("the other master has it", func() bool {
		return far.value("forgotten") == "before" && far.call("GET", "/api/v1/namespaces/default/secrets/crown", nil, nil) == 200
	})

	line.Cut()
	far.until("the other master leads", func() bool { return far.leads() })
	near.until("the first one goes on", func() bool { return near.write("configmaps", "both", "near") })
	for name, want := range map[string]bool{"gone": true, "anew": true, "forgotten": true} {
		if near.write("configmaps", name, "near") != want {
			t.Errorf("writing %s without etcd", name)
		}
	}
	near.write("secrets", "crown", "near-hush")
	for _, name := range []string{"both", "forgotten"} {
		far.until("it is written elsewhere too", func() bool { return far.write("configmaps", name, "far") })
	}
	far.write("secrets", "crown", "far-hush")
	for _, name := range []string{"gone", "anew"} {
		if code := far.call("DELETE", "/api/v1/namespaces/default/configmaps/"+name, nil, nil); code != 200 {
			t.Fatalf("deleting answers %d", code)
		}
	}
	far.write("configmaps", "anew", "far")

	line.Heal()
	far.until("there are conflicts", func() bool { return len(far.conflicts()) == 5 })
	all := far.conflicts()
	both := all["configmaps/both"]
	if both.By != "update by skerry-admin" || both.Epoch != "1.0" || both.Master == "" || both.Namespace != "default" || !strings.Contains(both.Reason, "written it since") {
		t.Errorf("a conflict: %+v", both)
	}
	var events corev1.EventList
	far.call("GET", "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=both", nil, &events)
	if len(events.Items) != 1 || events.Items[0].Reason != "WriteConflict" || !strings.Contains(events.Items[0].Message, both.ID) || events.Items[0].InvolvedObject.UID == "" {
		t.Errorf("Events of the object: %+v", events.Items)
	}

	var detail lostWrite
	far.call("GET", conflictsPath+"/"+both.ID, nil, &detail)
	if !strings.Contains(string(detail.Lost), `"v":"near"`) || !strings.Contains(string(detail.Current), `"v":"far"`) {
		t.Errorf("what lost: %s\nin force: %s", detail.Lost, detail.Current)
	}
	crown := all["secrets/crown"]
	far.call("GET", conflictsPath+"/"+crown.ID, nil, &detail)
	if shown := string(detail.Lost) + string(detail.Current); strings.Contains(shown, "hush") || strings.Contains(shown, "aHVz") || !strings.Contains(string(detail.Lost), "another value") {
		t.Errorf("of a Secret: %s", shown)
	}

	accept := func(c lostWrite) int { return far.call("POST", conflictsPath+"/"+c.ID+"/accept", nil, nil) }
	if code := accept(both); code != 200 || far.value("both") != "near" {
		t.Errorf("accepting answers %d, and in force is %q", code, far.value("both"))
	}
	if code := accept(all["configmaps/gone"]); code != 200 || far.value("gone") != "near" {
		t.Errorf("accepting what was deleted elsewhere answers %d, and in force is %q", code, far.value("gone"))
	}
	if code := accept(all["configmaps/anew"]); code != 409 || far.value("anew") != "far" {
		t.Errorf("accepting what is another object now answers %d, and in force is %q", code, far.value("anew"))
	}
	if code := far.call("DELETE", conflictsPath+"/"+all["configmaps/forgotten"].ID, nil, nil); code != 200 || far.value("forgotten") != "far" {
		t.Errorf("discarding answers %d, and in force is %q", code, far.value("forgotten"))
	}
	if code := accept(both); code != 404 {
		t.Errorf("accepting twice answers %d", code)
	}
	if left := far.conflicts(); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
	near.until("the first master passes the question on", func() bool { return len(near.conflicts()) == 2 })
}
