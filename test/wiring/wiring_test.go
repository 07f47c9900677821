// Package wiring runs a whole master and agents with the fake engine in one process, over the embedded broker, TLS
// and the disk, and uses them as a user does.
package wiring

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/edgeagent/agent"
	"github.com/skerry-edge/skerry/master/server"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/test/lab"
)

const patience = 30 * time.Second

// world is a master, its agents and a user.
type world struct {
	t      *testing.T
	dir    string
	config server.Config
	client *http.Client
	url    string
	greeting
}

// greeting is what the master prints.
type greeting struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *greeting) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	return &world{t: t, dir: dir, config: server.Config{
		DataDir: filepath.Join(dir, "master"), Cluster: "test", APIListen: lab.FreeAddress(), MQTTListen: lab.FreeAddress(),
		AuditLog: "audit.log", Heartbeat: time.Second, NodeTimeout: 3 * time.Second, SuspectTimeout: 2 * time.Second,
	}}
}

func (w *world) daemon(name string) *daemon.Daemon {
	log := zerolog.New(zerolog.NewTestWriter(w.t)).With().Str("who", name).Timestamp().Logger()
	return daemon.New(name, log, &w.greeting)
}

// startMaster runs a master until stop is called.
func (w *world) startMaster() (stop func()) {
	w.t.Helper()
	s, err := server.New(w.t.Context(), w.config, w.daemon("master"))
	if err != nil {
		w.t.Fatal(err)
	}
	stop = w.run(s.Run)
	w.readKubeconfig()
	return stop
}

// startAgent runs an agent until stop is called.
func (w *world) startAgent(name string, change func(*agent.Config)) (d *daemon.Daemon, stop func()) {
	w.t.Helper()
	config := agent.Config{DataDir: filepath.Join(w.dir, name), NodeName: name, Engine: agent.EngineFake,
		Join: "@" + filepath.Join(w.config.DataDir, "join-token")}
	if change != nil {
		change(&config)
	}
	d = w.daemon(name)
	a, err := agent.New(config, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return d, w.run(a.Run)
}

func (w *world) run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// readKubeconfig makes the client of an administrator.
func (w *world) readKubeconfig() {
	w.t.Helper()
	path := filepath.Join(w.config.DataDir, "admin.kubeconfig")
	w.until("the kubeconfig is written", func() bool { _, err := os.Stat(path); return err == nil })
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		w.t.Fatalf("mode of the kubeconfig: %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	var c struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		w.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(w.decode(c.Users[0].User.Certificate), w.decode(c.Users[0].User.Key))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(w.decode(c.Clusters[0].Cluster.CA)) {
		w.t.Fatal("the kubeconfig has no CA")
	}
	w.url = c.Clusters[0].Cluster.Server
	w.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: roots}}}
	w.t.Cleanup(w.client.CloseIdleConnections)
}

func (w *world) decode(text string) []byte {
	w.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// call asks the API and decodes the answer into out; it returns the status code.
func (w *world) call(method, path string, body, out any) int {
	w.t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, w.url+path, bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if out != nil && response.StatusCode < 300 {
		if err := json.Unmarshal(text, out); err != nil {
			w.t.Fatal(err)
		}
	} else if response.StatusCode >= 300 {
		w.t.Logf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	return response.StatusCode
}

func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (w *world) ready(node string) bool {
	var n corev1.Node
	if w.call("GET", "/api/v1/nodes/"+node, nil, &n) != 200 {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (w *world) pod(name string) (corev1.Pod, bool) {
	var p corev1.Pod
	return p, w.call("GET", "/api/v1/namespaces/default/pods/"+name, nil, &p) == 200
}

func (w *world) runPod(name string) {
	w.t.Helper()
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/app:1"}}}}
	if code := w.call("POST", "/api/v1/namespaces/default/pods", pod, nil); code != 201 {
		w.t.Fatalf("creating a pod answers %d", code)
	}
}

func (w *world) running(name string) bool {
	p, ok := w.pod(name)
	return ok && p.Status.Phase == corev1.PodRunning
}

// A node joins, becomes Ready, and runs the pod that a user creates; all of that outlives restarts of either side.
func TestAPodRuns(t *testing.T) {
	w := newWorld(t)
	stopMaster := w.startMaster()
	d, stopAgent := w.startAgent("node-1", nil)
	w.until("the node is Ready", func() bool { return w.ready("node-1") })
	w.runPod("first")
	w.until("the pod runs", func() bool { return w.running("first") })
	w.until("the agent is ready", func() bool { _, err := d.Health.Ready(); return err == nil })
	before, _ := w.pod("first")

	// The agent needs no token any more, and runs what it had.
	w.until("the node has joined", func() bool { _, err := os.Stat(filepath.Join(w.dir, "node-1", "identity")); return err == nil })
	stopAgent()
	_, stopAgent = w.startAgent("node-1", func(c *agent.Config) { c.Join, c.NodeName = "", "" })
	w.until("the node is Ready again", func() bool { return w.ready("node-1") })
	w.until("the pod runs again", func() bool { return w.running("first") })

	// A restarted master finds everything as it was.
	stopMaster()
	stopMaster = w.startMaster()
	w.until("the node is Ready under the new run of the master", func() bool { return w.ready("node-1") })
	w.runPod("second")
	w.until("another pod runs", func() bool { return w.running("second") })
	after, _ := w.pod("first")
	if before.UID != after.UID || after.Spec.NodeName != "node-1" {
		t.Errorf("the pod was replaced: %s on %s, before %s", after.UID, after.Spec.NodeName, before.UID)
	}
	stopAgent()
	stopMaster()
	if n := strings.Count(w.text.String(), "sk1."); n != 1 {
		t.Errorf("the token was printed %d times:\n%s", n, w.text.String())
	}
}

// Two masters can't share a directory; ports and cluster names are checked; each error is one line.
func TestMastersThatCanNotStart(t *testing.T) {
	w := newWorld(t)
	w.startMaster()
	for name, c := range map[string]struct {
		change func(*server.Config)
		want   string
	}{
		"same directory": {func(c *server.Config) { c.APIListen, c.MQTTListen = "127.0.0.1:0", "127.0.0.1:0" }, "another skerry-master uses"},
		"API port":       {func(c *server.Config) { c.DataDir, c.MQTTListen = t.TempDir(), "127.0.0.1:0" }, "--api-listen " + w.config.APIListen + ": the port is in use"},
		"MQTT port":      {func(c *server.Config) { c.DataDir, c.APIListen = t.TempDir(), "127.0.0.1:0" }, "--mqtt-listen " + w.config.MQTTListen + ": the port is in use"},
	} {
		config := w.config
		c.change(&config)
		s, err := server.New(t.Context(), config, w.daemon(name))
		if err == nil {
			t.Errorf("%s: started", name)
			w.run(s.Run)()
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, want %q", name, err, c.want)
		}
	}
}

// A token of another cluster, and one with another secret, are refused; the agent says so, what to do, and has not
// joined.
func TestWrongTokens(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.startMaster()
	other.startMaster()
	brokers, err := mqtt.ParseBrokers([]string{"mqtts://" + w.config.MQTTListen})
	if err != nil {
		t.Fatal(err)
	}
	guessed := w.token()
	guessed.Secret[0]++
	for name, c := range map[string]struct {
		token seal.Token
		want  string
	}{
		"other-cluster": {other.token(), "its certificate is not signed by this cluster's authority"},
		"guessed":       {guessed, "it refuses the user name or password"},
	} {
		text, err := c.token.Encode()
		if err != nil {
			t.Fatal(err)
		}
		d, stop := w.startAgent(name, func(config *agent.Config) { config.Join, config.Brokers = text, brokers })
		w.until(name+" says what is wrong", func() bool {
			report, err := d.Health.Ready()
			return err != nil && strings.Contains(report, c.want)
		})
		stop()
		config := agent.Config{DataDir: filepath.Join(w.dir, name), NodeName: name, Engine: agent.EngineFake}
		if _, err := agent.New(config, w.daemon(name)); err == nil || !strings.Contains(err.Error(), "--join is needed until the node has joined") {
			t.Errorf("%s: without a token: %v", name, err)
		}
		if code := w.call("GET", "/api/v1/nodes/"+name, nil, nil); code != 404 {
			t.Errorf("%s: the node answers %d", name, code)
		}
	}
}

// token is the one that the master keeps.
func (w *world) token() seal.Token {
	w.t.Helper()
	path := filepath.Join(w.config.DataDir, "join-token")
	w.until("the token is written", func() bool { _, err := os.Stat(path); return err == nil })
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := seal.ParseToken(string(data))
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// What an agent can't start with is one line.
func TestAgentsThatCanNotStart(t *testing.T) {
	w := newWorld(t)
	config := agent.Config{DataDir: filepath.Join(w.dir, "a"), NodeName: "a", Engine: agent.EngineFake}
	for name, c := range map[string]struct {
		join, want string
	}{
		"no token":       {"", "--join is needed until the node has joined"},
		"half a token":   {"sk1.abc", "--join: the join token is cut off or mistyped"},
		"no file":        {"@/nonexistent", "--join @/nonexistent: no such file or directory"},
		"another format": {"hunter2", "--join: this is no join token"},
	} {
		config.Join = c.join
		_, err := agent.New(config, w.daemon(name))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
