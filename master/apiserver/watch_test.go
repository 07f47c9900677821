package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// next is the next event of a watch, as "ADDED name".
func next(t *testing.T, w watch.Interface) string {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			return "end"
		}
		if s, ok := e.Object.(*metav1.Status); ok {
			return fmt.Sprintf("%s %s", e.Type, s.Reason)
		}
		o := e.Object.(metav1.Object)
		text := fmt.Sprintf("%s %s", e.Type, o.GetName())
		if o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
			text += "initial-events-end"
		}
		return text
	case <-bounded(t).Done():
		t.Fatal("no event came")
		return ""
	}
}

func expect(t *testing.T, w watch.Interface, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := next(t, w); got != want {
			t.Fatalf("the watch said %q, not %q", got, want)
		}
	}
}

// A watch from a list's resourceVersion yields every later write, in each encoding.
func TestWatchFromARevision(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	for _, media := range []string{mediaJSON, mediaProtobuf} {
		t.Run(media, func(t *testing.T) {
			client := l.client(func(c *rest.Config) { c.ContentType, c.AcceptContentTypes = media, media }).CoreV1().ConfigMaps("default")
			list, err := client.List(bounded(t), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			w, err := client.Watch(bounded(t), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			c, err := client.Create(bounded(t), configMap("c", nil), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.Data = map[string]string{"a": "b"}
			if _, err := client.Update(bounded(t), c, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := client.Delete(bounded(t), "c", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			expect(t, w, "ADDED c", "MODIFIED c", "DELETED c")
		})
	}
}

// A pod that one write replaced by another of its name, as when a bare pod moves, has gone and come: clients
// that wait for the old uid must not wait for ever.
func TestWatchSeesAReplacedPod(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	put := func(base change.Rev, uid string) change.Rev {
		value, err := resource.Encode(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: types.UID(uid)}})
		if err != nil {
			t.Fatal(err)
		}
		rev, err := l.store.Commit(bounded(t), []change.Change{{Key: resource.Pods.Key("default", "p"), Base: base, Value: value}})
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	first := put(0, "one")
	w, err := l.client().CoreV1().Pods("default").Watch(bounded(t), metav1.ListOptions{ResourceVersion: first.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	put(first, "two")
	expect(t, w, "DELETED p", "ADDED p")
}

// Without a resourceVersion, or with 0, a watch begins with the objects there are.
func TestWatchFromAnywhere(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.put(resource.ConfigMaps, configMap("a", nil))
	l.put(resource.ConfigMaps, configMap("b", nil))
	for _, from := range []string{"", "0"} {
		w, err := l.client().CoreV1().ConfigMaps("default").Watch(bounded(t), metav1.ListOptions{ResourceVersion: from})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, w, "ADDED a", "ADDED b")
		w.Stop()
	}
}

// sendInitialEvents ends the objects there are with a bookmark that says so, of the revision they are of.
func TestWatchInitialEvents(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.put(resource.ConfigMaps, configMap("a", nil))
	w, err := l.client().CoreV1().ConfigMaps("").Watch(bounded(t), metav1.ListOptions{
		SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	expect(t, w, "ADDED a", "BOOKMARK initial-events-end")
	l.put(resource.ConfigMaps, configMap("b", nil))
	expect(t, w, "ADDED b")
	l.get(configMapsPath+"?watch=true&sendInitialEvents=true").fails(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents requires setting resourceVersionMatch")
}

// An object that comes into the selection is ADDED, one that leaves it DELETED, whatever happened to it.
func TestWatchSelectors(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.put(resource.ConfigMaps, configMap("a", map[string]string{"app": "y"}))
	rev := l.put(resource.Pods, pod("p", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })).String()
	labelled, err := l.client().CoreV1().ConfigMaps("default").Watch(bounded(t), metav1.ListOptions{ResourceVersion: rev, LabelSelector: "app=x"})
	if err != nil {
		t.Fatal(err)
	}
	defer labelled.Stop()
	for _, app := range []string{"x", "x", "y"} {
		l.put(resource.ConfigMaps, configMap("a", map[string]string{"app": app, "n": fmt.Sprint(l.store.View().Rev())}))
	}
	l.put(resource.ConfigMaps, configMap("b", map[string]string{"app": "x"}))
	expect(t, labelled, "ADDED a", "MODIFIED a", "DELETED a", "ADDED b")

	running, err := l.client().CoreV1().Pods("").Watch(bounded(t), metav1.ListOptions{ResourceVersion: rev, FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded} {
		l.put(resource.Pods, pod("p", func(p *corev1.Pod) { p.Status.Phase = phase }))
	}
	expect(t, running, "ADDED p", "DELETED p")
}

// A watch from a revision that the history no longer reaches, or that this cluster never had, ends with 410
// Expired in the stream.
func TestWatchTooOld(t *testing.T) {
	schema := resource.Schema()
	schema.History = map[change.Kind]int{resource.ConfigMaps.Kind: 2}
	l := newLive(t, func(c *Config) { c.Store = store.NewMemory(store.Config{Schema: schema}) })
	l.store = l.server.Store
	rev := l.put(resource.ConfigMaps, configMap("a", nil))
	for i := range 5 {
		l.put(resource.ConfigMaps, configMap("a", map[string]string{"i": fmt.Sprint(i)}))
	}
	for _, from := range []change.Rev{rev, 1} {
		w, err := l.client().CoreV1().ConfigMaps("default").Watch(bounded(t), metav1.ListOptions{ResourceVersion: from.String()})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, w, "ERROR Expired", "end")
		w.Stop()
	}
}

// A watch ends when timeoutSeconds are over, or the server ends.
func TestWatchTimeout(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	w, err := l.client().CoreV1().ConfigMaps("default").Watch(bounded(t), metav1.ListOptions{TimeoutSeconds: ptr.To[int64](1)})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, w, "end")
}

// A Table watch carries the columns once, then rows.
func TestWatchAsTable(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.put(resource.ConfigMaps, configMap("a", nil))
	l.put(resource.ConfigMaps, configMap("b", nil))
	server, client := pipe(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		r := l.request(ask{method: "GET", path: configMapsPath + "?watch=true", accept: "application/json;as=Table;v=v1;g=meta.k8s.io"})
		l.handler.ServeHTTP(server, r.WithContext(ctx))
	}()
	for i, name := range []string{"a", "b"} {
		if !client.Scan() {
			t.Fatalf("no event: %v", client.Err())
		}
		var e metav1.WatchEvent
		var table metav1.Table
		if err := json.Unmarshal(client.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Object.Raw, &table); err != nil {
			t.Fatal(err)
		}
		if e.Type != "ADDED" || table.Kind != "Table" || len(table.Rows) != 1 || table.Rows[0].Cells[0] != name || (len(table.ColumnDefinitions) > 0) != (i == 0) {
			t.Errorf("event %d is %s", i, client.Bytes())
		}
	}
}

// A row that comes late in a watch has the age that its object has then.
func TestWatchCountsAgesToTheRow(t *testing.T) {
	a := newAPI(t)
	server, client := pipe(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	old := configMap("c", nil)
	old.CreationTimestamp = metav1.NewTime(started)
	a.put(resource.ConfigMaps, old)
	go func() {
		r := a.request(ask{method: "GET", path: configMapsPath + "?watch=true", accept: "application/json;as=Table;v=v1;g=meta.k8s.io"})
		a.handler.ServeHTTP(server, r.WithContext(ctx))
	}()
	for _, want := range []string{"[c 0 0s]", "[c 0 60s]"} {
		if !client.Scan() {
			t.Fatalf("no event: %v", client.Err())
		}
		var e metav1.WatchEvent
		var table metav1.Table
		if err := json.Unmarshal(client.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Object.Raw, &table); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(table.Rows[0].Cells); got != want {
			t.Errorf("the row is %s, not %s", got, want)
		}
		a.elapsed.Store(int64(time.Minute))
		old.Labels = map[string]string{"changed": "yes"}
		a.put(resource.ConfigMaps, old)
	}
}

// pipe is a ResponseWriter and what reads its lines.
func pipe(t *testing.T) (http.ResponseWriter, *bufio.Scanner) {
	t.Helper()
	lines := &pipeWriter{header: http.Header{}, wrote: make(chan []byte, 64), done: bounded(t).Done()}
	return lines, bufio.NewScanner(lines)
}

type pipeWriter struct {
	header http.Header
	wrote  chan []byte
	rest   []byte
	done   <-chan struct{}
}

func (p *pipeWriter) Header() http.Header { return p.header }
func (p *pipeWriter) WriteHeader(int)     {}
func (p *pipeWriter) Flush()              {}

func (p *pipeWriter) Write(b []byte) (int, error) {
	select {
	case p.wrote <- append([]byte(nil), b...):
		return len(b), nil
	case <-p.done:
		return 0, context.DeadlineExceeded
	}
}

func (p *pipeWriter) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		select {
		case p.rest = <-p.wrote:
		case <-p.done:
			return 0, context.DeadlineExceeded
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// A watcher that doesn't read is not waited for: it falls behind the history and is told to list again.
func TestWatchSlowReader(t *testing.T) {
	schema := resource.Schema()
	schema.History = map[change.Kind]int{resource.ConfigMaps.Kind: 2}
	a := newAPI(t, func(c *Config) { c.Store = store.NewMemory(store.Config{Schema: schema}) })
	rev := a.put(resource.ConfigMaps, configMap("c", nil))
	server, client := pipe(t)
	server.(*pipeWriter).wrote = make(chan []byte) // nothing is buffered on the way
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go a.handler.ServeHTTP(server, a.request(ask{method: "GET", path: configMapsPath + "?watch=true&resourceVersion=" + rev.String()}).WithContext(ctx))
	for i := range 10 {
		a.put(resource.ConfigMaps, configMap("c", map[string]string{"i": fmt.Sprint(i)}))
	}
	for client.Scan() {
		var e metav1.WatchEvent
		if err := json.Unmarshal(client.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == string(watch.Error) {
			if !strings.Contains(string(e.Object.Raw), `"code":410`) {
				t.Errorf("the watch ended with %s", e.Object.Raw)
			}
			return
		}
	}
	t.Errorf("the watch did not say that it fell behind: %v", client.Err())
}

// Watches end when the server does, so that it can.
func TestWatchEndsWithTheServer(t *testing.T) {
	t.Parallel()
	var w watch.Interface
	t.Run("the server runs", func(t *testing.T) {
		l := newLive(t)
		var err error
		if w, err = l.client().CoreV1().ConfigMaps("default").Watch(context.Background(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	expect(t, w, "end")
}

// A bookmark is an object of the kind with nothing but a revision.
func TestBookmarkObject(t *testing.T) {
	o := bookmarkObject(resource.Pods, 7, false)
	data, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	if o.GetResourceVersion() != "7" || data["kind"] != "Pod" || data["apiVersion"] != "v1" || strings.Contains(fmt.Sprint(data), "initial") {
		t.Errorf("the bookmark is %v", data)
	}
}
