package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
	"github.com/skerry-edge/skerry/test/lab"
)

// exposed is a master on loopback, whose API an attacker in the test's own process reaches.
type exposed struct {
	*besieged
	data, api, mqtt string
	pid             int
}

func expose(t *testing.T) *exposed {
	t.Helper()
	b := &besieged{T: t, dir: t.TempDir()}
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	e := &exposed{besieged: b, data: filepath.Join(b.dir, "master"), api: port(), mqtt: port()}
	e.pid = b.start("skerry-master", append([]string{"--data-dir", e.data, "--api-listen", e.api, "--mqtt-listen", e.mqtt,
		"--metrics-listen", "", "--advertise", "127.0.0.1"}, quick...)...).Process.Pid
	b.until("the master answers", func() (bool, string) {
		out, err := b.try("get", "namespace", "default", "-o", "name")
		return err == nil, seen(out, err)
	})
	b.kubectl("create", "secret", "generic", "crown", "--from-literal=jewels=hidden")
	return e
}

// request is what an attacker sends.
type request struct {
	method, path, body string
	show               *tls.Certificate
	token              string
	tls                *tls.Config // instead of one that shows the certificate
}

// send answers with the code, 0 when there was no answer, and the body.
func (e *exposed) send(r request) (code int, body string) {
	e.Helper()
	if r.method == "" {
		r.method = "GET"
	}
	config := r.tls
	if config == nil {
		config = &tls.Config{InsecureSkipVerify: true} // an attacker does not care
	}
	if r.show != nil { // whatever authority the server asks for
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.show, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	ask, err := http.NewRequest(r.method, "https://"+e.api+r.path, strings.NewReader(r.body))
	if err != nil {
		e.Fatal(err)
	}
	if r.token != "" {
		ask.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.body != "" {
		ask.Header.Set("Content-Type", "application/json")
	}
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Do(ask)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// gold are what an attacker goes for: to read, to write, to enter, to become somebody, to let machines in.
func gold(e *exposed) []request {
	return []request{
		{path: "/api/v1/secrets"},
		{path: "/api/v1/namespaces/default/secrets/crown"},
		{path: "/api/v1/nodes"},
		{path: "/apis"},
		{path: "/openapi/v2"},
		{path: "/apis/skerry.dev/v1/jointokens"},
		{path: "/api/v1/namespaces/default/pods/app/exec?command=sh"},
		{path: "/api/v1/secrets?watch=true"},
		{method: "POST", path: "/apis/skerry.dev/v1/jointokens", body: `{"uses":1}`},
		{method: "POST", path: "/apis/skerry.dev/v1/brokeraccess", body: `{"names":["a"]}`},
		{method: "POST", path: "/apis/skerry.dev/v1/usercertificates", body: `{"ttlSeconds":3600,"request":` + quoted(certificateRequest(e, "mallory", "skerry:admins")) + `}`},
		{method: "POST", path: "/apis/skerry.dev/v1/backups"},
		{method: "PUT", path: "/apis/skerry.dev/v1/recoverykey", body: `{"recipient":"skrp1-mgex4m64-axv7fblt-irkxwzc4-pjjctacu-fo3fvl5e-gprzc65a-wq7ewh6x"}`},
		{method: "POST", path: "/api/v1/namespaces/kube-system/serviceaccounts/default/token", body: `{}`},
		{method: "POST", path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body: `{"metadata":{"name":"m"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
			"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"mallory"}]}`},
		{method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", body: `{"spec":{"token":"x"}}`},
		{method: "DELETE", path: "/api/v1/namespaces/default/secrets/crown"},
	}
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

func certificateRequest(e *exposed, name string, groups ...string) string {
	e.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: groups}}, e.key())
	if err != nil {
		e.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func (e *exposed) key() *ecdsa.PrivateKey {
	e.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		e.Fatal(err)
	}
	return key
}

// nothing checks that an attacker gets this code for all the gold, that the secret is still there and nothing was made,
// and that the audit log has the attack.
func (e *exposed) nothing(what string, want int, with request) {
	e.Helper()
	for _, r := range gold(e) {
		r.show, r.token, r.tls = with.show, with.token, with.tls
		code, body := e.send(r)
		if code != want || strings.Contains(body, "hidden") || strings.Contains(body, base64.StdEncoding.EncodeToString([]byte("hidden"))) {
			e.Errorf("%s: %s %s answered %d, not %d: %s", what, r.method, r.path, code, want, body)
		}
		if want == 401 && !strings.HasPrefix(body, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized`) {
			e.Errorf("%s: %s answered %s", what, r.path, body)
		}
	}
	if out := e.kubectl("get", "secret", "crown", "-o", "name"); out != "secret/crown" {
		e.Errorf("%s: the secret is %s", what, out)
	}
	if out, err := e.try("get", "clusterrolebinding", "m"); err == nil {
		e.Errorf("%s: a binding was made: %s", what, out)
	}
	if want != 401 {
		return
	}
	e.until("the audit log has the attack", func() (bool, string) {
		log := e.audited()
		return strings.Contains(log, `"resource":"secrets","namespace":"default","name":"crown","code":401`), log
	})
}

func (e *exposed) audited() string {
	data, err := os.ReadFile(filepath.Join(e.data, "audit.log"))
	return string(data) + seen("", err)
}

// authority is the cluster's own, from the master's directory: no attacker has that.
func (e *exposed) authority() *ca.Authority {
	e.Helper()
	data, err := os.ReadFile(filepath.Join(e.data, "cluster.pem"))
	if err != nil {
		e.Fatal(err)
	}
	var blocks []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[2].Bytes)
	if err != nil {
		e.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(blocks[3].Bytes)
	if err != nil {
		e.Fatal(err)
	}
	a, err := ca.Load(certificate, key)
	if err != nil {
		e.Fatal(err)
	}
	return a
}

// signed is a certificate of an authority for a new key.
func (e *exposed) signed(a *ca.Authority, name string, groups []string, at time.Time) *tls.Certificate {
	e.Helper()
	key := e.key()
	leaf, err := a.SignClient(rand.Reader, key.Public(), name, groups, time.Hour, at)
	if err != nil {
		e.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

// Somebody who reaches the API and has nothing: they get whether it lives, and its version. Else nothing.
func TestAttackAPIWithoutCertificate(t *testing.T) {
	e := expose(t)
	e.nothing("no certificate", 401, request{})
	for path, want := range map[string]string{"/healthz": "ok", "/livez": "ok", "/readyz": "ok", "/version": "+skerry"} {
		if code, body := e.send(request{path: path}); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s answered %d %s", path, code, body)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "//api/v1/secrets", "/healthz/../api/v1/secrets", "/version/../api", "/healthz%2f..%2fapi"} {
		if code, body := e.send(request{path: path}); code == 200 {
			t.Errorf("%s answered %s", path, body)
		}
	}
}

// Somebody with an authority of their own, which calls itself what the cluster's does, an administrator's certificate of
// another cluster, or one that they signed themselves: nothing.
func TestAttackCertificateOfAnotherAuthority(t *testing.T) {
	e := expose(t)
	twin, err := ca.New(rand.Reader, "default")
	if err != nil {
		t.Fatal(err)
	}
	if twin.Certificate.Subject.String() != e.authority().Certificate.Subject.String() {
		t.Fatal("the attacker's authority does not look like the cluster's")
	}
	e.nothing("a twin authority", 401, request{show: e.signed(twin, "skerry-admin", []string{"skerry:admins"}, time.Now())})

	key := e.key()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root", Organization: []string{"system:masters"}}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	e.nothing("self-signed", 401, request{show: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}})

	// The cluster's real authority goes along, so that there is a chain that looks right.
	chained := e.signed(twin, "skerry-admin", []string{"skerry:admins"}, time.Now())
	chained.Certificate = append(chained.Certificate, e.authority().Certificate.Raw)
	e.nothing("with the real authority behind it", 401, request{show: chained})
}

// Somebody who found the kubeconfig of a person who left: nothing, once it has ended; they are told so.
func TestAttackEndedCertificate(t *testing.T) {
	e := expose(t)
	old := e.signed(e.authority(), "alice", []string{"skerry:admins"}, time.Now().Add(-2*time.Hour))
	e.nothing("an ended certificate", 401, request{show: old})
	if _, body := e.send(request{path: "/api", show: old}); !strings.Contains(body, `the client certificate of \"alice\" ended at`) {
		t.Errorf("it says %s", body)
	}
}

// Somebody who may have certificates signed, or writes their own requests, and asks for the group of those who may do
// everything, or to be a service account: nothing. Even if the cluster's authority had signed it, it is nobody's.
func TestAttackSelfMadeMasters(t *testing.T) {
	e := expose(t)
	for _, args := range [][]string{
		{"user", "create", "mallory", "--group", "system:masters"},
		{"user", "create", "mallory", "--group", "dev,system:masters"},
		{"user", "create", "system:serviceaccount:kube-system:default"},
		{"user", "create", "system:admin"},
	} {
		if out, err := e.try(args...); err == nil || !strings.Contains(err.Error(), `begins with "system:"`) {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	for name, groups := range map[string][]string{"mallory": {"system:masters"}, "system:serviceaccount:kube-system:default": nil, "system:admin": {"skerry:admins"}} {
		e.nothing(name, 401, request{show: e.signed(e.authority(), name, groups, time.Now())})
	}
}

// A person who may look, and wants to change something, read Secrets, enter a container or become more: what they may
// look at, and else nothing.
func TestAttackAViewerWrites(t *testing.T) {
	e := expose(t)
	viewer := filepath.Join(e.dir, "viewer.kubeconfig")
	cmd := e.edgectl("user", "create", "eve", "--group", "skerry:viewers", "--ttl", "1h")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(viewer, out, 0o600); err != nil {
		t.Fatal(err)
	}
	eve := func(args ...string) (string, error) {
		out, err := e.edgectl(append(args, "--kubeconfig", viewer)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := eve("get", "namespaces,nodes"); err != nil {
		t.Errorf("she can't look: %s", out)
	}
	for _, args := range [][]string{
		{"create", "configmap", "hers"},
		{"delete", "namespace", "default"},
		{"get", "secrets", "-A"},
		{"get", "secret", "crown", "-o", "yaml"},
		{"exec", "app", "--", "sh"},
		{"label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted", "--overwrite"},
		{"create", "clusterrolebinding", "hers", "--clusterrole=cluster-admin", "--user=eve"},
		{"create", "token", "default"},
		{"user", "create", "eve", "--group", "skerry:admins"},
		{"token", "create"},
		{"get", "pods", "--as", "skerry-admin", "--as-group", "skerry:admins"},
		{"annotate", "node", "n", "skerry.dev/rotate-key=now"},
	} {
		out, err := eve(args...)
		// exec and annotate look for their object first.
		if err == nil || !strings.Contains(out, "orbidden") && !strings.Contains(out, "not found") || strings.Contains(out, "jewels") {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	if out := e.kubectl("get", "configmaps", "-o", "name"); strings.Contains(out, "hers") {
		t.Errorf("she has made %s", out)
	}
	e.until("the audit log has it", func() (bool, string) {
		log := e.audited()
		return strings.Contains(log, `"user":"eve"`) && strings.Contains(log, `"code":403`), log
	})
	for _, hidden := range []string{"hidden", base64.StdEncoding.EncodeToString([]byte("hidden")), "BEGIN", "eyJ"} {
		if strings.Contains(e.audited(), hidden) {
			t.Errorf("the audit log has %q", hidden)
		}
	}
}

// Somebody who stole a service account's token: what the account may do, until the account is deleted; then nothing, also
// when there is an account of that name again.
func TestAttackStolenToken(t *testing.T) {
	e := expose(t)
	e.kubectl("create", "serviceaccount", "robot")
	e.kubectl("create", "clusterrolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=default:robot")
	token := e.kubectl("create", "token", "robot", "--duration", "8760h")
	if code, body := e.send(request{path: "/api/v1/nodes", token: token}); code != 200 {
		t.Fatalf("the robot itself: %d %s", code, body)
	}
	e.kubectl("delete", "serviceaccount", "robot")
	e.nothing("a deleted account", 401, request{token: token})
	e.kubectl("create", "serviceaccount", "robot")
	e.nothing("another account of that name", 401, request{token: token})

	for _, audience := range []string{"vault", "https://kubernetes.default.svc"} {
		e.nothing("a token for "+audience, 401, request{token: e.kubectl("create", "token", "robot", "--audience", audience)})
	}
}

// Somebody who knows how tokens look, has one that is worthless, and knows every public key: nothing. The header of a
// token can't choose how it is checked.
func TestAttackForgedTokens(t *testing.T) {
	e := expose(t)
	e.kubectl("create", "serviceaccount", "robot")
	e.kubectl("create", "clusterrolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=default:robot")
	good := e.kubectl("create", "token", "robot")
	parts := strings.Split(good, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	public := e.publicKey()
	mac := func(key []byte) string {
		signed := encode([]byte(strings.Replace(string(header), "EdDSA", "HS256", 1))) + "." + parts[1]
		sum := hmac.New(sha256.New, key)
		sum.Write([]byte(signed))
		return signed + "." + encode(sum.Sum(nil))
	}
	none := encode([]byte(strings.Replace(string(header), "EdDSA", "none", 1)))
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none":                      none + "." + parts[1] + ".",
		"alg none, signed":              none + "." + parts[1] + "." + parts[2],
		"HS256 with the public key":     mac(public),
		"HS256 with the public key PEM": mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"HS256 with nothing":            mac(nil),
		"another account":               parts[0] + "." + encode(bytes.ReplaceAll(payload, []byte("robot"), []byte("admin"))) + "." + parts[2],
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"cut":                           good[:len(good)-1],
	} {
		e.nothing(name, 401, request{token: token})
	}
	if code, _ := e.send(request{path: "/api/v1/nodes", token: good}); code != 200 {
		t.Errorf("the real token: %d", code)
	}
}

// publicKey is that of the tokens.
func (e *exposed) publicKey() []byte {
	e.Helper()
	data, err := os.ReadFile(filepath.Join(e.data, "serviceaccounts.pem"))
	if err != nil {
		e.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		e.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.(ed25519.PrivateKey).Public())
	if err != nil {
		e.Fatal(err)
	}
	return public
}

// Somebody who sends tokens, headers and bodies without end: a refusal, and none of the master's memory.
func TestAttackOversizedCredentials(t *testing.T) {
	e := expose(t)
	_, before, err := lab.Memory(e.pid)
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int][]int{9 << 10: {401}, 60 << 10: {401}, 100 << 10: {431}, 8 << 20: {0, 431}} {
		for range 5 {
			code, body := e.send(request{path: "/api/v1/secrets", token: strings.Repeat("A", size)})
			if !slices.Contains(want, code) {
				t.Errorf("a token of %d bytes answered %d %s", size, code, body)
			}
		}
	}
	if code, _ := e.send(request{method: "POST", path: "/api/v1/namespaces/default/configmaps", body: strings.Repeat(" ", 16<<20)}); code != 401 && code != 0 {
		t.Errorf("a body of 16 MB answered %d", code)
	}
	_, after, err := lab.Memory(e.pid)
	if err != nil || after > before+(24<<20) {
		t.Errorf("the master had %d bytes of memory, and has %d, %v", before, after, err)
	}
	e.kubectl("get", "secrets")
}

// Somebody between a client and the master who talks them into an old TLS, at the API or the broker: no connection.
func TestAttackTLSDowngrade(t *testing.T) {
	e := expose(t)
	admin := e.signed(e.authority(), "skerry-admin", []string{"skerry:admins"}, time.Now())
	for name, version := range map[string]uint16{"TLS 1.0": tls.VersionTLS10, "TLS 1.1": tls.VersionTLS11} {
		e.nothing(name, 0, request{show: admin, tls: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version}})
		conn, err := tls.Dial("tcp", e.mqtt, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version})
		if err == nil {
			conn.Close()
			t.Errorf("the broker speaks %s", name)
		}
	}
	if code, _ := e.send(request{path: "/api/v1/nodes", show: admin, tls: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}}); code != 200 {
		t.Errorf("with TLS 1.2: %d", code)
	}
}

// Somebody who keeps hundreds of connections to API and broker open from a machine of their own, and some from a
// client's, and says nothing or half of something on them: the clients are served, and the master's memory stays what it
// is.
func TestAttackSlowloris(t *testing.T) {
	e := expose(t)
	_, before, err := lab.Memory(e.pid)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var attackers sync.WaitGroup
	var begun atomic.Int64
	defer attackers.Wait()
	defer close(done)
	for i := range 300 {
		to, from := e.api, "127.0.0.2"
		if i%2 == 0 {
			to = e.mqtt
		}
		again := true
		if i%5 == 0 {
			from, again = "127.0.0.1", false
		}
		attackers.Go(func() {
			for slow(from, to, i%3, &begun, done) && again {
				select {
				case <-done:
				case <-time.After(100 * time.Millisecond): // an attacker's pace, not to keep the machine busy
				}
			}
		})
	}
	e.until("the attack is on", func() (bool, string) { return begun.Load() >= 300, "too few connections" })
	e.until("a client is served", func() (bool, string) {
		out, err := e.try("get", "secret", "crown", "-o", "name")
		return err == nil, seen(out, err)
	})
	e.start("skerry-agent", "--data-dir", filepath.Join(e.dir, "late"), "--node-name", "late", "--engine", "fake", "--metrics-listen", "",
		"--join", "@"+filepath.Join(e.data, "join-token"))
	e.until("a node joins", func() (bool, string) {
		out, err := e.try("get", "node", "late", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return out == "True", seen(out, err)
	})
	_, after, err := lab.Memory(e.pid)
	if err != nil || after > before+(32<<20) {
		t.Errorf("the master had %d bytes of memory, and has %d, %v", before, after, err)
	}
}

// slow holds one connection until the server ends it, and reports whether to go on.
func slow(from, to string, how int, begun *atomic.Int64, done <-chan struct{}) bool {
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to)
	if err == nil {
		ended := make(chan struct{})
		go func() {
			select {
			case <-done:
			case <-ended:
			}
			c.Close()
		}()
		switch how {
		case 0:
			c.Write([]byte{22, 3, 1}) // the beginning of a handshake; fails where the server has hung up
		case 1:
			secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if secure.Handshake() == nil {
				secure.Write([]byte("GET /api HTTP/1.1\r\nHost: a\r\nX-Slow: "))
			}
		}
		begun.Add(1)
		io.Copy(io.Discard, c)
		close(ended)
	}
	select {
	case <-done:
		return false
	default:
		return true
	}
}
