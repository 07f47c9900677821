package fleet

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func stored(t *testing.T, o interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	data, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, revSize), data...)
}

// A site is added up from its keys, whatever their order; what is not known is passed over, and what can't be read is said.
func TestSummary(t *testing.T) {
	ready := &corev1.Node{}
	ready.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	runs := &corev1.Pod{}
	runs.Status.Phase = corev1.PodRunning
	s := newSummary("home")
	for _, e := range []struct {
		key   string
		value []byte
	}{
		{"alive/1", []byte("7")},
		{"election", []byte(`{"id":"1","name":"pi-1","term":3}`)},
		{"epoch", []byte(`{"term":3,"owner":"1"}`)},
		{"masters/0", []byte(`{"id":"0","name":"pi-0","api":"https://192.0.2.1:6443","version":"v1","rev":"9","alive":true}`)},
		{"masters/1", []byte(`{"id":"1","name":"pi-1","api":"https://192.0.2.2:6443","version":"v2"}`)},
		{"meta", []byte(`{"format":1}`)},
		{"synced", []byte(`{"time":"2026-05-01T10:00:00Z","master":"1","term":3}`)},
		{"objects/nodes//a", stored(t, ready)},
		{"objects/nodes//b", stored(t, &corev1.Node{})},
		{"objects/pods/default/x", stored(t, runs)},
		{"objects/pods/default/y", stored(t, &corev1.Pod{})},
		{"something new", []byte("x")},
	} {
		s.add(e.key, e.value)
	}
	got, ok := s.done()
	want := Site{Name: "home", Leader: "pi-1", Term: 3, Nodes: Count{1, 2}, Pods: Count{1, 2}, Synced: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		Masters: []Master{{Name: "pi-0", API: "https://192.0.2.1:6443", Version: "v1"}, {Name: "pi-1", API: "https://192.0.2.2:6443", Version: "v2", Alive: true, Leads: true}}}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("%t %s", ok, diff)
	}
	for key, value := range map[string]string{"epoch": "x", "objects/pods/a/b": "123456789", "objects/nodes//a": "12", "masters/1": "[]"} {
		s := newSummary("home")
		s.add(key, []byte(value))
		if got, ok := s.done(); got.Problem == "" || ok {
			t.Errorf("%s: %+v", key, got)
		}
	}
}

// What is wrong with etcd, or with how it is reached, is said in words; another member is asked when one does not answer.
func TestEtcdThatCanNotBeRead(t *testing.T) {
	code, body := 200, "{}"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	denied, _ := json.Marshal(map[string]string{"message": "etcdserver: permission denied"})
	for _, c := range []struct {
		code       int
		body, want string
	}{
		{200, "hello", "is the URL that of an etcd?"},
		{404, "", "no HTTP gateway"},
		{403, string(denied), "does not let this user read"},
		{400, `{"error":"etcdserver: user name is empty"}`, "--etcd-user"},
		{503, `{"message":"etcdserver: no leader"}`, "no leader"},
		{503, `{"error":"connection closed","code":14}`, "extended key usage clientAuth"},
		{500, "", "it answers 500"},
	} {
		code, body = c.code, c.body
		_, err := NewClient(Config{Endpoints: []string{server.URL}}).Sites(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %s: %v", c.code, c.body, err)
		}
	}
	code, body = 200, "{}"
	if all, err := NewClient(Config{Endpoints: []string{"http://127.0.0.1:1", server.URL}}).Sites(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("with one member down: %v %v", all, err)
	}
}
