package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// A status from 200 to 399 is well, whoever signed the certificate; a redirect to another host is not followed.
func TestHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/500", http.StatusFound)
		case "/header":
			if r.Host != "me" || r.Header.Get("X-A") != "b" {
				w.WriteHeader(http.StatusBadRequest)
			}
		case "/hang":
			<-r.Context().Done()
		default:
			code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
			w.WriteHeader(code)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	for _, c := range []struct {
		server *httptest.Server
		path   string
		want   string
	}{
		{plain, "/200", ""}, {plain, "/399", ""}, {plain, "/404", "statuscode: 404"}, {plain, "/500", "statuscode: 500"},
		{secure, "/204", ""}, {plain, "/away", ""}, {plain, "/near", "statuscode: 500"}, {plain, "/header", ""},
		{plain, "/hang", "deadline exceeded"},
	} {
		address, err := url.Parse(c.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		call := pod.Call{Host: address.Hostname(), Timeout: 300 * time.Millisecond, HTTP: &corev1.HTTPGetAction{
			Path: c.path, Port: intstr.Parse(address.Port()), Scheme: corev1.URIScheme(strings.ToUpper(address.Scheme)),
			HTTPHeaders: []corev1.HTTPHeader{{Name: "host", Value: "me"}, {Name: "X-A", Value: "b"}},
		}}
		if c.path != "/hang" {
			call.Timeout = 20 * time.Second
		}
		check(t, c.path, Prober{}.Call(t.Context(), "", call), c.want)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := intstr.FromInt(l.Addr().(*net.TCPAddr).Port)
	call := pod.Call{Host: "127.0.0.1", TCP: &corev1.TCPSocketAction{Port: port}}
	check(t, "an open port", Prober{}.Call(t.Context(), "", call), "")
	l.Close()
	check(t, "a closed port", Prober{}.Call(t.Context(), "", call), "refused")
	call.TCP.Port = intstr.FromInt32(0)
	check(t, "a port without a name", Prober{}.Call(t.Context(), "", call), "no port of that name")
}

// commands is an engine that knows nothing but commands.
type commands struct{ engine.Engine }

func (commands) Exec(ctx context.Context, _ string, x engine.Exec) (int, error) {
	switch x.Command[0] {
	case "hang":
		<-ctx.Done()
		return 0, ctx.Err()
	case "fail":
		_, _ = x.Stderr.Write([]byte(strings.Repeat("x", 5000)))
		return 1, nil
	case "silent":
		return 2, nil
	}
	return 0, nil
}

func TestExec(t *testing.T) {
	p := Prober{Engine: commands{}}
	check(t, "a command", p.Call(t.Context(), "", pod.Call{Exec: []string{"true"}, Timeout: time.Minute}), "")
	check(t, "a silent failure", p.Call(t.Context(), "", pod.Call{Exec: []string{"silent"}}), `command "silent" exited with 2`)
	check(t, "a command that hangs", p.Call(t.Context(), "", pod.Call{Exec: []string{"hang"}, Timeout: time.Millisecond}), "timed out after 1ms")
	if err := p.Call(t.Context(), "", pod.Call{Exec: []string{"fail"}}); err == nil || len(err.Error()) != maxOutput {
		t.Errorf("of a long output %d bytes are kept", len(err.Error()))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	hour := time.Hour
	if err := p.Call(gone, "", pod.Call{Sleep: &hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("a pause that is given up: %v", err)
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}
