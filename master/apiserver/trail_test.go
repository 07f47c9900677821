package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// trailOf are the lines that requests leave behind, as "user verb resource/subresource namespace/name code".
func trailOf(t *testing.T, ask func(*api)) (lines []string, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	a := newTokenAPI(t)
	log, err := audit.New(audit.Config{Path: path, Log: zerolog.Nop(), Clock: func() clock.Now { return a.server.Clock() }})
	if err != nil {
		t.Fatal(err)
	}
	a.server.Audit = log
	ask(a)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := log.Run(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Source != "192.0.2.1" || len(e.ID) != 16 || !e.Time.Equal(started) || (e.User == "") != (e.Code == 401) || (e.User == "") != (e.Reason != "") {
			t.Errorf("it says %s", line)
		}
		what := e.Path
		if e.Resource != "" {
			what = strings.Trim(e.Resource+"/"+e.Subresource, "/")
		}
		lines = append(lines, strings.Join([]string{e.User, e.Verb, what, e.Namespace + "/" + e.Name, fmt.Sprint(e.Code)}, " "))
	}
	return lines, string(data)
}

// What changes the cluster, what is refused and who reads Secrets is taken down; what is read, asked and told is not.
func TestWhatIsTakenDown(t *testing.T) {
	t.Parallel()
	viewer := []string{GroupViewers}
	got, text := trailOf(t, func(a *api) {
		for range 2 {
			a.get(podsPath)
			a.get("/healthz")
			a.get("/api")
			a.post(accessPath, `{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}`)
			a.post("/api/v1/namespaces/default/events", `{"metadata":{"name":"e","namespace":"default"},"involvedObject":{"namespace":"default"}}`)
		}
		a.post(configMapsPath, `{"metadata":{"generateName":"c-"},"data":{"k":"a body"}}`)
		a.post("/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"},"stringData":{"k":"hush"}}`)
		a.get("/api/v1/namespaces/default/secrets/s")
		a.get("/api/v1/namespaces/default/secrets/s")
		a.do(ask{method: "PATCH", path: configMapsPath + "/none?fieldManager=a-query", contentType: mergePatch, body: `{}`})
		a.do(ask{method: "DELETE", path: configMapsPath})
		a.do(ask{method: "POST", path: configMapsPath, body: `{}`, groups: viewer})
		a.do(ask{method: "GET", path: podsPath + "/p/exec?command=hush", groups: viewer})
		a.get(podsPath + "/p/exec?command=hush")
		a.do(ask{method: "GET", path: "/api", groups: []string{}})
		a.with("Bearer hush", ask{method: "GET", path: podsPath + "?token=hush"})
		token := a.token(`{}`).Status.Token
		a.with("Bearer "+token, ask{method: "GET", path: podsPath})
		a.get(tokensPath)
		a.post(tokensPath, `{"uses":1}`)
		a.post(certificatesPath, map[string]any{"request": userRequest(t, "alice"), "ttlSeconds": 3600})
		a.post(backupsPath, nil)
		if strings.Contains(token, "hush") {
			t.Error("the token is unfortunate")
		}
	})
	for _, secret := range []string{"hush", "a body", "a-query", "eyJ", "BEGIN"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	for i := range got { // a name that was made up
		if strings.HasPrefix(got[i], "somebody create configmaps default/c-") {
			got[i] = "somebody create configmaps default/c-? 201"
		}
	}
	account := "system:serviceaccount:default:app"
	want := []string{
		"somebody create configmaps default/c-? 201",
		"somebody create secrets default/s 201",
		"somebody get secrets default/s 200",
		"somebody patch configmaps default/none 404",
		"somebody deletecollection configmaps default/ 200",
		"somebody create configmaps default/ 403",
		"somebody get pods/exec default/p 403",
		"somebody get pods/exec default/p 400",
		" get /api / 401",
		" list pods default/ 401",
		"somebody create serviceaccounts/token default/app 201",
		account + " list pods default/ 403",
		"somebody post /apis/skerry.dev/v1/jointokens / 503",
		"somebody post /apis/skerry.dev/v1/usercertificates /alice 201",
		"somebody post /apis/skerry.dev/v1/backups / 503",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An answer tells under which id the log has the request, and each has its own.
func TestRequestsHaveIDs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	first, second := a.get(podsPath).header.Get(headerRequest), a.get("/healthz").header.Get(headerRequest)
	if len(first) != 16 || len(second) != 16 || first == second {
		t.Errorf("the ids are %q and %q", first, second)
	}
}
