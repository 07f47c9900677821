package apiserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// others is a Masters that follows the master at a URL, or leads if there is none.
type others struct {
	url       string
	elsewhere bool
	stale     error // why it can't tell how old is what it has
}

func (o others) Elsewhere() (string, bool)   { return o.url, o.elsewhere }
func (o others) Fresh(context.Context) error { return o.stale }
func (o others) Standing() string {
	switch {
	case o.elsewhere && o.url == "" && o.stale != nil:
		return standingAway
	case o.elsewhere:
		return "following"
	}
	return "leading"
}
func (o others) Forget(_ context.Context, id string) (bool, error) {
	if id == "alive" {
		return true, ErrMasterAlive
	}
	return id == "gone", o.stale
}
func (o others) List(context.Context) MasterList {
	return MasterList{Etcd: "follower", Items: []Master{{Name: "a", Role: "leader", API: o.url}}}
}

// lost are conflicts of a test.
type lost struct{}

func (lost) List(context.Context) ([]Conflict, error) {
	return []Conflict{{ID: "0a", Kind: "secrets", Name: "s"}}, nil
}

func (lost) Get(_ context.Context, id string) (Conflict, bool, error) {
	return Conflict{ID: "0a", Kind: "jointokens.skerry.dev", Name: "t", Key: change.Key{Kind: "jointokens.skerry.dev", Name: "t"}}, id == "0a", nil
}

func (lost) Forget(_ context.Context, id string) (bool, error) { return id == "0a", nil }

// Conflicts may be Secrets: nobody but administrators sees them, or writes what lost.
func TestConflicts(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Masters, c.Conflicts = others{}, lost{} })
	var all ConflictList
	a.get(conflictsPath).into(http.StatusOK, &all)
	if len(all.Items) != 1 || all.Items[0].ID != "0a" {
		t.Errorf("the conflicts are %+v", all)
	}
	for _, c := range []struct {
		method, path string
		groups       []string
		code         int
	}{
		{"GET", conflictsPath, []string{GroupViewers}, 403},
		{"GET", conflictsPath, []string{}, 401},
		{"GET", conflictsPath + "/0a", []string{GroupViewers}, 403},
		{"GET", conflictsPath + "/0a", nil, 200},
		{"POST", conflictsPath + "/0a/accept", []string{GroupViewers}, 403},
		{"POST", conflictsPath + "/0a/accept", nil, 409}, // nothing that the API writes
		{"POST", conflictsPath + "/0b/accept", nil, 404},
		{"GET", conflictsPath + "/0a/accept", nil, 405},
		{"DELETE", conflictsPath + "/0a", []string{GroupViewers}, 403},
		{"DELETE", conflictsPath + "/0b", nil, 404},
		{"DELETE", conflictsPath + "/0a", nil, 200},
		{"POST", conflictsPath, nil, 405},
	} {
		if r := a.do(ask{method: c.method, path: c.path, groups: c.groups}); r.code != c.code {
			t.Errorf("%s %s by %v: answered %d, not %d: %s", c.method, c.path, c.groups, r.code, c.code, r.body)
		}
	}
}

// leaderAndFollower are a leader and a master that follows it, with stores of their own: what is found where shows who answered.
func leaderAndFollower(t *testing.T, stale error) (leader, follower *live) {
	t.Helper()
	keys, err := authn.NewKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leader = newLive(t, func(c *Config) { c.TokenKeys, c.Masters = &keys, others{} })
	follower = newLive(t, func(c *Config) {
		c.Authority, c.TokenKeys = leader.server.Authority, &keys
		c.Masters = others{leader.config.Host, true, stale}
	})
	return leader, follower
}

// A read through a master that follows is answered by the leader when this one can't tell how old is what it has, and with a
// warning when the leader can't be asked either. Each answer says what it is worth.
func TestFreshReads(t *testing.T) {
	t.Parallel()
	leader, follower := leaderAndFollower(t, errors.New("etcd is away"))
	follower.put(resource.ConfigMaps, configMap("old", nil))
	leader.put(resource.ConfigMaps, configMap("new", nil))
	_, alone := leaderAndFollower(t, errors.New("etcd is away"))
	alone.server.Masters = others{"https://127.0.0.1:1", true, errors.New("etcd is away")} // nobody listens there
	alone.put(resource.ConfigMaps, configMap("old", nil))
	_, leaderless := leaderAndFollower(t, errors.New("etcd is away"))
	leaderless.server.Masters = others{"", true, errors.New("etcd is away")}
	leaderless.put(resource.ConfigMaps, configMap("old", nil))
	_, quick := leaderAndFollower(t, nil)
	quick.put(resource.ConfigMaps, configMap("old", nil))
	for name, c := range map[string]struct {
		asked                    *live
		query                    string
		found, standing, warning string
	}{
		"the leader answers":       {follower, "", "new", "leading", ""},
		"any state will do":        {follower, "?resourceVersion=0", "old", "following", ""},
		"nobody to ask":            {alone, "", "old", "following", "what it shows may be old"},
		"nobody to ask, any state": {alone, "?resourceVersion=0", "old", "following", ""},
		"nobody leads":             {leaderless, "", "old", standingAway, "what it shows may be old"},
		"what is here is fresh":    {quick, "", "old", "following", ""},
	} {
		header, list := c.asked.configMaps(t, c.query)
		if len(list.Items) != 1 || list.Items[0].Name != c.found {
			t.Errorf("%s: found %v", name, list.Items)
		}
		if got := header.Values(etcdStanding); len(got) != 1 || got[0] != c.standing {
			t.Errorf("%s: %s says %q", name, etcdStanding, got)
		}
		if got := header.Get("Warning"); (got != "") != (c.warning != "") || !strings.Contains(got, c.warning) {
			t.Errorf("%s: the warning is %q", name, got)
		}
	}
}

// configMaps lists those of the namespace default as an administrator.
func (l *live) configMaps(t *testing.T, query string) (http.Header, corev1.ConfigMapList) {
	t.Helper()
	client, err := rest.HTTPClientFor(&l.config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(bounded(t), http.MethodGet, l.config.Host+configMapsPath+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list corev1.ConfigMapList
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return answer.Header, list
}

// A master that does not lead answers reads, and has the leader answer the rest, in the name of who asks.
func TestPassOn(t *testing.T) {
	t.Parallel()
	leader, follower := leaderAndFollower(t, nil)
	follower.put(resource.ConfigMaps, configMap("here", nil))
	leader.put(resource.ConfigMaps, configMap("there", nil))
	maps := follower.client().CoreV1().ConfigMaps("default")

	list, err := maps.List(bounded(t), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "here" {
		t.Errorf("a list: %v, %v", list, err)
	}
	if _, err := maps.Create(bounded(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := leader.client().CoreV1().ConfigMaps("default").Get(bounded(t), "new", metav1.GetOptions{}); err != nil {
		t.Errorf("what was created is not with the leader: %v", err)
	}
	if err := maps.Delete(bounded(t), "there", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}

	viewer := follower.client(func(c *rest.Config) {
		c.TLSClientConfig = userOf(t, leader.server.Authority, "vera", GroupViewers)
	})
	_, err = viewer.CoreV1().ConfigMaps("default").Create(bounded(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "vera"`) {
		t.Errorf("a viewer's write: %v", err)
	}
}

// Nobody becomes somebody else on the way: what a client claims in headers counts nowhere.
func TestPassOnTrustsNoHeader(t *testing.T) {
	t.Parallel()
	leader, follower := leaderAndFollower(t, nil)
	config := follower.config
	config.TLSClientConfig = userOf(t, leader.server.Authority, "vera", GroupViewers)
	client, err := rest.HTTPClientFor(&config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(bounded(t), http.MethodDelete, config.Host+configMapsPath+"/c", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"X-Remote-User": "admin", "X-Remote-Group": GroupAdmins, "Authorization": "Bearer x", "X-Forwarded-For": "127.0.0.1",
	} {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("answered %s", answer.Status)
	}
}

// Where no leader is to be had, the answer says so, and nothing goes round in circles.
func TestPassOnToNobody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others others
		want   string
	}{
		"nobody leads":         {others{elsewhere: true}, "no master leads just now"},
		"nor does etcd answer": {others{elsewhere: true, stale: errors.New("etcd is away")}, "no master leads that this one knows of, and etcd does not answer"},
		"the leader is away":   {others{url: "https://127.0.0.1:1", elsewhere: true}, "the leader at https://127.0.0.1:1 does not answer"},
		"this master answers":  {others{}, ""},
	} {
		l := newLive(t, func(c2 *Config) { c2.Masters = c.others })
		_, err := l.client().CoreV1().ConfigMaps("default").Create(bounded(t), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
	a := newAPI(t, func(c *Config) { c.Masters = others{url: "https://127.0.0.1:1", elsewhere: true} })
	r := a.do(ask{method: "DELETE", path: configMapsPath + "/c", header: http.Header{passedOn: {"1"}}})
	r.fails(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "this master does not lead the cluster any more")
	// Who asks about itself is told by whoever is asked.
	var me authenticationv1.SelfSubjectReview
	a.do(ask{method: "POST", path: whoPath, body: `{}`}).into(201, &me)
	var all MasterList
	a.get(mastersPath).into(http.StatusOK, &all)
	if len(all.Items) != 1 || all.Items[0].Role != "leader" {
		t.Errorf("the masters are %+v", all)
	}
	if r := a.do(ask{method: "GET", path: mastersPath, groups: []string{"others"}}); r.code != http.StatusForbidden {
		t.Errorf("answered %d", r.code)
	}
}

// A master that is gone is forgotten by who may do everything, one that is alive by nobody, and only the leader does it.
func TestForgetMaster(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Masters = others{} })
	away := newAPI(t, func(c *Config) { c.Masters = others{stale: errors.New("etcd is away")} })
	alone := newAPI(t)
	follower := newAPI(t, func(c *Config) { c.Masters = others{elsewhere: true} })
	for _, c := range []struct {
		of         *api
		method, id string
		groups     []string
		code       int
		says       string
	}{
		{a, "DELETE", "gone", nil, 200, ""},
		{a, "DELETE", "never", nil, 404, "never"},
		{a, "DELETE", "alive", nil, 409, "systemctl stop skerry-master"},
		{a, "DELETE", "gone", []string{GroupViewers}, 403, ""},
		{a, "GET", "gone", nil, 405, ""},
		{a, "DELETE", "", nil, 404, ""},
		{a, "DELETE", "a/b", nil, 404, ""},
		{away, "DELETE", "gone", nil, 503, "etcd is away"},
		{alone, "DELETE", "gone", nil, 404, ""},
		{follower, "DELETE", "gone", nil, 503, "no master leads"},
	} {
		r := c.of.do(ask{method: c.method, path: mastersPath + "/" + c.id, groups: c.groups})
		if r.code != c.code || !strings.Contains(string(r.body), c.says) {
			t.Errorf("%s %s by %v: answered %d, not %d: %s", c.method, c.id, c.groups, r.code, c.code, r.body)
		}
	}
}
