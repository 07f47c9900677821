package apiserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

const (
	accountsPath = "/api/v1/namespaces/default/serviceaccounts"
	whoPath      = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	reviewPath   = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// newTokenAPI is an api that makes tokens, with the account app.
func newTokenAPI(t testing.TB) *api {
	t.Helper()
	keys, err := authn.NewKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *Config) { c.TokenKeys = &keys })
	a.post(accountsPath, map[string]any{"metadata": map[string]string{"name": "app"}}).into(201, &corev1.ServiceAccount{})
	return a
}

// token makes a token of the account app.
func (a *api) token(spec string) authenticationv1.TokenRequest {
	a.t.Helper()
	var made authenticationv1.TokenRequest
	a.post(accountsPath+"/app/token", fmt.Sprintf(`{"spec": %s}`, spec)).into(201, &made)
	return made
}

// with asks with an Authorization header and no certificate.
func (a *api) with(authorization string, q ask) reply {
	a.t.Helper()
	q.groups, q.header = []string{}, http.Header{"Authorization": {authorization}}
	return a.do(q)
}

// An account shows its token and is who Kubernetes says; when it is deleted the token is worth nothing, also when there
// is another account of that name.
func TestAccountTokens(t *testing.T) {
	t.Parallel()
	a := newTokenAPI(t)
	made := a.token(`{}`)
	if s := made.Spec; *s.ExpirationSeconds != 3600 || !slices.Equal(s.Audiences, []string{authn.Audience}) ||
		!made.Status.ExpirationTimestamp.Time.Equal(started.Add(time.Hour)) || made.Name != "app" {
		t.Errorf("it is %v", made)
	}
	who := ask{method: "POST", path: whoPath, body: `{}`}
	var me authenticationv1.SelfSubjectReview
	a.with("Bearer "+made.Status.Token, who).into(201, &me)
	u := me.Status.UserInfo
	if u.Username != "system:serviceaccount:default:app" || u.UID == "" || len(u.Extra["authentication.kubernetes.io/credential-id"]) != 1 ||
		!slices.Equal(u.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}) {
		t.Errorf("it is %v", u)
	}
	a.with("bearer "+made.Status.Token, who).into(201, &me) // RFC 9110: the scheme is compared without case
	a.with("Bearer "+made.Status.Token, ask{method: "GET", path: podsPath}).fails(403, metav1.StatusReasonForbidden,
		`User "system:serviceaccount:default:app" cannot list resource "pods"`)

	a.do(ask{method: "DELETE", path: accountsPath + "/app"})
	a.with("Bearer "+made.Status.Token, who).fails(401, metav1.StatusReasonUnauthorized, "the service account app that the token rests on was deleted")
	a.post(accountsPath, `{"metadata":{"name":"app"}}`).into(201, &corev1.ServiceAccount{})
	a.with("Bearer "+made.Status.Token, who).fails(401, metav1.StatusReasonUnauthorized, "was deleted")

	again := a.token(`{"expirationSeconds": 600}`)
	a.elapsed.Add(int64(10*time.Minute - time.Second))
	a.with("Bearer "+again.Status.Token, who).into(201, &me)
	a.elapsed.Add(int64(time.Second))
	a.with("Bearer "+again.Status.Token, who).fails(401, metav1.StatusReasonUnauthorized, "ended at")
}

// Requests for tokens are refused as Kubernetes refuses them, and long ones are shortened with a warning.
func TestTokenRequests(t *testing.T) {
	t.Parallel()
	a := newTokenAPI(t)
	a.put(resource.Pods, pod("other", func(p *corev1.Pod) { p.UID, p.Spec.ServiceAccountName = "1", "default" }))
	a.put(resource.Pods, pod("mine", func(p *corev1.Pod) { p.UID, p.Spec.ServiceAccountName = "2", "app" }))
	path := accountsPath + "/app/token"
	for body, c := range map[string]struct {
		code   int
		reason metav1.StatusReason
		says   string
	}{
		`{"spec":{"expirationSeconds":599}}`:                                                        {422, metav1.StatusReasonInvalid, "less than 10 minutes"},
		`{"spec":{"expirationSeconds":4294967297}}`:                                                 {422, metav1.StatusReasonInvalid, "larger than 2^32 seconds"},
		`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"none"}}}`:                {404, metav1.StatusReasonNotFound, `pods "none" not found`},
		`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"other"}}}`:               {400, metav1.StatusReasonBadRequest, "different serviceaccount name"},
		`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"mine","uid":"9"}}}`:      {409, metav1.StatusReasonConflict, "does not match the UID"},
		`{"spec":{"boundObjectRef":{"kind":"ConfigMap","apiVersion":"v1","name":"c"}}}`:             {400, metav1.StatusReasonBadRequest, "cannot bind token to object of type"},
		`{"metadata":{"name":"else"},"spec":{}}`:                                                    {400, metav1.StatusReasonBadRequest, "does not match the name on the URL"},
		`{"metadata":{"uid":"9"},"spec":{}}`:                                                        {409, metav1.StatusReasonConflict, "Precondition failed"},
		`{"spec":{"audiences":["` + strings.Repeat("a", authn.MaxToken) + `"]}}`:                    {400, metav1.StatusReasonBadRequest, "fewer audiences"},
		`{"spec":{"boundObjectRef":{"kind":"Node","apiVersion":"v1","name":"n"}}}`:                  {404, metav1.StatusReasonNotFound, `nodes "n" not found`},
		`{"spec":{"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s"}}}`:                {404, metav1.StatusReasonNotFound, `secrets "s" not found`},
		`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"apps/v1","name":"mine","uid":"2"}}}`: {400, metav1.StatusReasonBadRequest, "cannot bind token to object of type"},
	} {
		a.post(path, body).fails(c.code, c.reason, c.says)
	}
	a.post(accountsPath+"/none/token", `{}`).fails(404, metav1.StatusReasonNotFound, `serviceaccounts "none" not found`)
	a.get(path).fails(405, metav1.StatusReasonMethodNotAllowed, "")
	a.do(ask{method: "POST", path: path, body: `{}`, groups: []string{GroupViewers}}).fails(403, metav1.StatusReasonForbidden, "serviceaccounts/token")

	long := a.post(path, `{"spec":{"expirationSeconds":315360000}}`)
	var made authenticationv1.TokenRequest
	long.into(201, &made)
	if *made.Spec.ExpirationSeconds != int64(authn.MaxLifetime/time.Second) || !strings.Contains(long.header.Get("Warning"), "shortened to 31536000 seconds") {
		t.Errorf("it is good for %d seconds, with the warning %q", *made.Spec.ExpirationSeconds, long.header.Get("Warning"))
	}
	var dry authenticationv1.TokenRequest
	a.post(path+"?dryRun=All", `{}`).into(201, &dry)
	if dry.Status.Token != "" {
		t.Error("a dry run made a token")
	}
	bound := a.token(`{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"mine"}}`)
	a.with("Bearer "+bound.Status.Token, ask{method: "POST", path: whoPath, body: `{}`}).into(201, &authenticationv1.SelfSubjectReview{})
	a.put(resource.Pods, pod("mine", func(p *corev1.Pod) { p.UID, p.Spec.ServiceAccountName = "3", "app" }))
	a.with("Bearer "+bound.Status.Token, ask{method: "POST", path: whoPath, body: `{}`}).fails(401, metav1.StatusReasonUnauthorized, "the pod mine")
}

// Whoever may review tokens learns whose one is, for which audiences; and of a wrong one that it is wrong.
func TestTokenReviews(t *testing.T) {
	t.Parallel()
	a := newTokenAPI(t)
	token := a.token(`{"audiences": ["vault", "bank"]}`).Status.Token
	review := func(token string, audiences ...string) authenticationv1.TokenReviewStatus {
		var r authenticationv1.TokenReview
		a.post(reviewPath, authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}).into(201, &r)
		return r.Status
	}
	if s := review(token, "vault", "else"); !s.Authenticated || s.User.Username != "system:serviceaccount:default:app" || !slices.Equal(s.Audiences, []string{"vault"}) {
		t.Errorf("it is %v", s)
	}
	for name, s := range map[string]authenticationv1.TokenReviewStatus{
		"for this API":      review(token),
		"for somebody else": review(token, "else"),
		"no token":          review("x.y.z", "vault"),
	} {
		if s.Authenticated || s.Error == "" || s.User.Username != "" {
			t.Errorf("%s: %v", name, s)
		}
	}
	a.post(reviewPath, `{"spec":{}}`).fails(400, metav1.StatusReasonBadRequest, "token is required")
	a.do(ask{method: "POST", path: reviewPath, body: `{"spec":{"token":"x"}}`, groups: []string{GroupViewers}}).fails(403, metav1.StatusReasonForbidden, "tokenreviews")
}

// What is no credential of this cluster gets one word, whatever it is; nobody is let in by halves.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	a := newTokenAPI(t)
	good := a.token(`{}`).Status.Token
	stranger := newAuthority(t)
	forged, err := stranger.Client(rand.Reader, "admin", []string{GroupAdmins}, started)
	if err != nil {
		t.Fatal(err)
	}
	server, err := a.issuer.Server(rand.Reader, []string{"master"}, started)
	if err != nil {
		t.Fatal(err)
	}
	short, err := a.issuer.SignClient(rand.Reader, server.Leaf.PublicKey, "alice", []string{GroupAdmins}, time.Hour, started.Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	masters := a.certificate("eve", []string{"system:masters"})
	for name, c := range map[string]struct {
		leaf          *x509.Certificate
		authorization []string
		says          string
	}{
		"nothing":              {nil, nil, "Unauthorized"},
		"another authority":    {forged.Leaf, nil, "Unauthorized"},
		"a server":             {server.Leaf, nil, "Unauthorized"},
		"the authority":        {a.issuer.Certificate, nil, "Unauthorized"},
		"system:masters":       {masters, nil, "Unauthorized"},
		"an ended certificate": {short, nil, `Unauthorized: the client certificate of "alice" ended at 2026-05-04T11:00:00Z; ask an administrator`},
		"a password":           {nil, []string{"Basic YTpi"}, "Unauthorized"},
		"no token":             {nil, []string{"Bearer "}, "Unauthorized"},
		"a bare word":          {nil, []string{"Bearer"}, "Unauthorized"},
		"a wrong token":        {nil, []string{"Bearer " + good[:len(good)-4] + "AAAA"}, "Unauthorized"},
		"a token without word": {nil, []string{good}, "Unauthorized"},
		"two tokens":           {nil, []string{"Bearer " + good, "Bearer " + good}, "Unauthorized"},
		"a huge token":         {nil, []string{"Bearer " + strings.Repeat("A", 60_000)}, "Unauthorized"},
	} {
		for _, path := range []string{podsPath, "/api", "/nothing", tokensPath, certificatesPath, brokerPath, backupsPath, recoveryKeyPath} {
			r := a.request(ask{method: "GET", path: path, groups: []string{}})
			if c.leaf != nil {
				r.TLS.PeerCertificates = []*x509.Certificate{c.leaf}
			}
			r.Header["Authorization"] = c.authorization
			answer := a.serve(r)
			status := answer.fails(401, metav1.StatusReasonUnauthorized, c.says)
			if exact := !strings.Contains(c.says, ":"); exact && status.Message != c.says {
				t.Errorf("%s: %q", name, status.Message)
			}
		}
	}
	// As in Kubernetes, what is good counts beside what is not.
	r := a.request(ask{method: "POST", path: whoPath, body: `{}`, groups: []string{}})
	r.TLS.PeerCertificates = []*x509.Certificate{short}
	r.Header.Set("Authorization", "Bearer "+good)
	a.serve(r).into(201, &authenticationv1.SelfSubjectReview{})
}

// A device whose clock stands at 1970 locks nobody out; once its clock is right, what has ended has ended.
func TestAClockAt1970(t *testing.T) {
	t.Parallel()
	a := newTokenAPI(t)
	leaf, err := a.issuer.SignClient(rand.Reader, a.issuer.Certificate.PublicKey, "alice", []string{GroupAdmins}, time.Hour, started)
	if err != nil {
		t.Fatal(err)
	}
	token := a.token(`{}`).Status.Token
	for at, want := range map[time.Time]int{time.Unix(30, 0): 201, started: 201, started.AddDate(1, 0, 0): 401} {
		a.elapsed.Store(int64(at.Sub(started)))
		r := a.request(ask{method: "POST", path: whoPath, body: `{}`, groups: []string{}})
		r.TLS.PeerCertificates = []*x509.Certificate{leaf}
		if got := a.serve(r).code; got != want {
			t.Errorf("a certificate at %s: %d", at, got)
		}
		if got := a.with("Bearer "+token, ask{method: "POST", path: whoPath, body: `{}`}).code; got != want {
			t.Errorf("a token at %s: %d", at, got)
		}
	}
}

// serve answers a request that a test has made itself.
func (a *api) serve(r *http.Request) reply {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return reply{t: a.t, code: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

// Only who may do everything signs certificates of people, and what is signed is what was asked for.
func TestUserCertificates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	request := userRequest(t, "alice", "dev")
	body := map[string]any{"request": request, "ttlSeconds": 3600}
	var made UserCertificate
	a.post(certificatesPath, body).into(201, &made)
	leaf := parseCertificate(t, made.Certificate)
	if leaf.Subject.CommonName != "alice" || !slices.Equal(leaf.Subject.Organization, []string{"dev"}) || !leaf.NotAfter.Equal(started.Add(time.Hour)) ||
		!made.Expires.Equal(leaf.NotAfter) || made.ClockUnset {
		t.Errorf("it is %v until %s", leaf.Subject, leaf.NotAfter)
	}
	var me authenticationv1.SelfSubjectReview
	r := a.request(ask{method: "POST", path: whoPath, body: `{}`, groups: []string{}})
	r.TLS.PeerCertificates = []*x509.Certificate{leaf}
	a.serve(r).into(201, &me)
	if u := me.Status.UserInfo; u.Username != "alice" || !slices.Equal(u.Groups, []string{"dev", "system:authenticated"}) {
		t.Errorf("it is %v", u)
	}
	// A role that names the resource is not enough: whoever signs may be anybody.
	a.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"sign"},"rules":[{"verbs":["*"],"apiGroups":["skerry.dev"],"resources":["*"]}]}`)
	a.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"sign"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"sign"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"signers"}]}`)
	for _, group := range []string{GroupViewers, "signers"} {
		a.do(ask{method: "POST", path: certificatesPath, body: body, groups: []string{group}}).fails(403, metav1.StatusReasonForbidden, "only who may do everything can")
	}
	for name, c := range map[string]struct {
		body any
		says string
	}{
		"no JSON":        {"x", "no request for a certificate"},
		"a field more":   {`{"request":"","ttlSeconds":3600,"groups":["x"]}`, `unknown field "groups"`},
		"short":          {map[string]any{"request": request, "ttlSeconds": 599}, "ttlSeconds: 599 is not between 600 and 31536000"},
		"for ever":       {map[string]any{"request": request, "ttlSeconds": int64(1) << 62}, "ttlSeconds: "},
		"negative":       {map[string]any{"request": request, "ttlSeconds": -1 << 62}, "ttlSeconds: "},
		"no request":     {map[string]any{"ttlSeconds": 3600}, "request: it is not one PEM block"},
		"system:masters": {map[string]any{"request": userRequest(t, "eve", "system:masters"), "ttlSeconds": 3600}, `group: "system:masters" begins with "system:"`},
	} {
		r := a.post(certificatesPath, c.body)
		if r.code != 400 || !bytes.Contains(r.body, []byte(strings.ReplaceAll(c.says, `"`, `\"`))) {
			t.Errorf("%s: %d %s", name, r.code, r.body)
		}
	}
	a.get(certificatesPath).fails(405, metav1.StatusReasonMethodNotAllowed, "")
	a.post(certificatesPath, strings.Repeat(" ", 3*authn.MaxRequest)).fails(413, metav1.StatusReasonRequestEntityTooLarge, "small")
	a.elapsed.Store(int64(time.Unix(60, 0).Sub(started)))
	a.post(certificatesPath, body).into(201, &made)
	if !made.ClockUnset || made.Expires.Year() != 2026 {
		t.Errorf("with the clock at 1970 it is %+v", made)
	}
}

// Through real TLS: one check of the signature a connection, each request is still looked at; TLS below 1.2 is refused.
func TestCertificatesOverTLS(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	pair := func(a *ca.Authority, groups ...string) tls.Certificate {
		c, err := a.Client(rand.Reader, "somebody", groups, started)
		if err != nil {
			t.Fatal(err)
		}
		return *c
	}
	roots := x509.NewCertPool()
	roots.AddCert(l.issuer.Certificate)
	for name, c := range map[string]struct {
		show *tls.Certificate
		max  uint16
		code int // 0: no connection
	}{
		"ours":              {ptr.To(pair(l.issuer, GroupAdmins)), 0, 200},
		"TLS 1.2":           {ptr.To(pair(l.issuer, GroupAdmins)), tls.VersionTLS12, 200},
		"none":              {nil, 0, 401},
		"another authority": {ptr.To(pair(newAuthority(t), GroupAdmins)), 0, 401},
		"TLS 1.1":           {ptr.To(pair(l.issuer, GroupAdmins)), tls.VersionTLS11, 0},
		"TLS 1.0":           {ptr.To(pair(l.issuer, GroupAdmins)), tls.VersionTLS10, 0},
	} {
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: c.max}
		if c.show != nil { // also when the server asks for another authority's
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.show, nil }
		}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: c.max == 0} // which refuses an old TLS itself
		client := &http.Client{Transport: transport}
		for range 3 {
			r, err := http.NewRequestWithContext(bounded(t), "GET", l.config.Host+podsPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			code := 0
			if answer, err := client.Do(r); err == nil {
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				code = answer.StatusCode
			}
			if code != c.code {
				t.Errorf("%s: answered %d, not %d", name, code, c.code)
			}
		}
		transport.CloseIdleConnections()
	}
}

// Hundreds of connections that say nothing, or half of something, keep nobody out, and cost no more than a few.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	l := newLive(t, func(c *Config) { c.Metrics = registry })
	address := strings.TrimPrefix(l.config.Host, "https://")
	list := func(client kubernetes.Interface) {
		t.Helper()
		if _, err := client.CoreV1().Pods("default").List(bounded(t), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
	}
	known := l.client()
	list(known)
	for i := range 300 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 3 {
		case 0:
			_, _ = c.Write([]byte{22, 3, 1}) // the beginning of a handshake
		case 1:
			secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = secure.Write([]byte("GET /api HTTP/1.1\r\nHost: a\r\nX-Slow: "))
		}
		l.elapsed.Add(int64(strangersGrace / 10))
	}
	l.elapsed.Add(int64(strangersGrace))
	list(known)
	list(l.client(func(c *rest.Config) { c.TLSClientConfig = userOf(t, l.issuer, "another", GroupAdmins) }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	gauges := map[string]float64{}
	for _, f := range families {
		gauges[f.GetName()] = f.Metric[0].GetGauge().GetValue()
	}
	open, unknown := gauges["skerry_api_connections"], gauges["skerry_api_connections_unknown"]
	if open > 70 || open-unknown != 2 {
		t.Errorf("%v connections are open, %v of them of strangers", open, unknown)
	}
}

// userRequest is a certificate request in PEM.
func userRequest(t *testing.T, name string, groups ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: groups}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(encodePEM("CERTIFICATE REQUEST", der))
}

func parseCertificate(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("%q is no PEM", text)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
