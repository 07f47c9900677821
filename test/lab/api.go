package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// API asks a master as the cluster's admin, without a process for each question: many labs can wait for many conditions
// and leave the processor to those that are to fulfil them. The zero value can't be used.
type API struct {
	client *http.Client
	base   string
}

// API is available once the master has made its kubeconfig; it goes on to work after restarts of the master.
func (m *Master) API() (*API, error) { return OpenAPI(m.DataDir, m.Host.Dial) }

// OpenAPI is that of the master with a data directory; without dial it is on this machine.
func OpenAPI(dataDir string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*API, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dataDir, "admin.kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read the admin's kubeconfig: %w", err)
	}
	config.Dial = dial
	config.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &API{client: client, base: strings.TrimSuffix(config.Host, "/")}, nil
}

// Within is an API that waits for an answer no longer than limit.
func (a *API) Within(limit time.Duration) *API {
	client := *a.client
	client.Timeout = limit
	return &API{client: &client, base: a.base}
}

// Answer is what a master has said to a request.
type Answer struct {
	Code   int
	Header http.Header
	Body   []byte
}

// Do asks with a method and, unless it is nil, a body of JSON. An error says that there was no answer: nobody knows what was done.
func (a *API) Do(method, path string, body any) (Answer, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return Answer{}, err
		}
	}
	request, err := http.NewRequest(method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := a.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return Answer{Code: answer.StatusCode, Header: answer.Header, Body: data}, err
}

// Stream is the answer to a watch; Within bounds how long it lasts.
func (a *API) Stream(path string) (io.ReadCloser, error) {
	answer, err := a.client.Get(a.base + path)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Get reads what is at a path. A code other than 200 is an error.
func (a *API) Get(path string, into any) error {
	answer, err := a.Do(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if answer.Code != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, answer.Code, answer.Body)
	}
	return json.Unmarshal(answer.Body, into)
}

// Pods are those of the namespace default that a label selector selects.
func (a *API) Pods(selector string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := a.Get("/api/v1/namespaces/default/pods?labelSelector="+strings.ReplaceAll(selector, "=", "%3D"), &list)
	return list.Items, err
}

// Nodes are all there are.
func (a *API) Nodes() ([]corev1.Node, error) {
	var list corev1.NodeList
	err := a.Get("/api/v1/nodes", &list)
	return list.Items, err
}

// Events are those of all namespaces.
func (a *API) Events() ([]corev1.Event, error) {
	var list corev1.EventList
	err := a.Get("/api/v1/events", &list)
	return list.Items, err
}

// Dial connects from the host, to a numeric address.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // for good: a thread of another network ends with this goroutine
		conn, err := h.dialHere(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func (h *Host) dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Listen listens on the host, at a numeric address.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // as in Dial
		var r result
		if r.err = h.enter(); r.err == nil {
			r.listener, r.err = net.Listen(network, address)
		}
		done <- r
	}()
	r := <-done
	return r.listener, r.err
}

// enter takes the calling thread into the host's network. Sockets that it makes stay there.
func (h *Host) enter() error {
	fd, err := unix.Open("/run/netns/"+h.namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network of %s: %w", h.Name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network of %s: %w", h.Name, err)
	}
	return nil
}
