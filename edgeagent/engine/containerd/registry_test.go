package containerd

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// registry is a read-only registry on loopback, enough for a pull.
type registry struct {
	host string

	mu        sync.Mutex
	manifests map[string][]byte // by repository:tag and repository@digest
	types     map[string]string
	blobs     map[string][]byte // by digest
	refuse    map[string]int    // repository: status
	gate      chan struct{}     // not nil: half of each big blob waits for it
	fetched   int               // blobs
}

func newRegistry() *registry {
	r := &registry{
		manifests: map[string][]byte{}, types: map[string]string{}, blobs: map[string][]byte{}, refuse: map[string]int{},
	}
	r.host = strings.TrimPrefix(httptest.NewServer(r).URL, "http://")
	return r
}

// push offers an image under repository:tag and returns its whole name.
func (r *registry) push(t *testing.T, tag string, img v1.Image) string {
	t.Helper()
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	kind, err := img.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	configName, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	repository, _, _ := strings.Cut(tag, ":")
	for _, key := range []string{tag, repository + ":" + digest.String()} {
		r.manifests[key], r.types[key] = manifest, string(kind)
	}
	r.blobs[configName.String()] = config
	for _, l := range layers {
		name, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		content, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if r.blobs[name.String()], err = io.ReadAll(content); err != nil {
			t.Fatal(err)
		}
	}
	return r.host + "/" + tag
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	parts := strings.Split(strings.TrimPrefix(q.URL.Path, "/v2/"), "/")
	if len(parts) < 3 {
		return // GET /v2/
	}
	repository, kind, name := strings.Join(parts[:len(parts)-2], "/"), parts[len(parts)-2], parts[len(parts)-1]
	r.mu.Lock()
	if kind == "blobs" && q.Method == http.MethodGet {
		r.fetched++
	}
	status, gate := r.refuse[repository], r.gate
	content, contentType := r.blobs[name], "application/octet-stream"
	if kind == "manifests" {
		content, contentType = r.manifests[repository+":"+name], r.types[repository+":"+name]
	}
	r.mu.Unlock()
	switch {
	case status != 0:
		w.WriteHeader(status)
		return
	case content == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if gate != nil && len(content) > 1<<20 && q.Method == http.MethodGet {
		half := len(content) / 2
		w.Write(content[:half])
		w.(http.Flusher).Flush()
		<-gate
		w.Write(content[half:])
		return
	}
	http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(content))
}

// hold has every big blob wait after its first half until the gate is closed; nil: none.
func (r *registry) hold(gate chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = gate
}

// answer has all requests for a repository fail.
func (r *registry) answer(repository string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse[repository] = status
}

// count is how many blobs were fetched.
func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fetched
}
