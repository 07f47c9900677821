package arm

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// serve offers an image in a registry on the loopback of the network that a process is in, and returns its name.
func serve(t *testing.T, pid int, img v1.Image) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	push(t, handler, img)
	listener, err := listenWhere(pid)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String() + "/app:1"
}

// push puts an image into a registry as app:1, without a network: the registry's is not ours.
func push(t *testing.T, handler http.Handler, img v1.Image) {
	t.Helper()
	put := func(method, path string, body []byte, kind string) {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	put("POST", "/v2/app/blobs/uploads/?digest="+digest.String(), config, "application/octet-stream")
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			t.Fatal(err)
		}
		content, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		put("POST", "/v2/app/blobs/uploads/?digest="+digest.String(), data, "application/octet-stream")
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	kind, err := img.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	put("PUT", "/v2/app/manifests/1", manifest, string(kind))
}

// listenWhere listens on the loopback of the network that a process is in.
func listenWhere(pid int) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, for it is in the other network then
		fd, err := unix.PidfdOpen(pid, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		done <- result{listener, err}
	}()
	r := <-done
	return r.listener, r.err
}
