package containerd

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/test/images"
)

// image is an image of some bytes that don't compress.
func image(t *testing.T, platform v1.Platform, size int) v1.Image {
	t.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	img, err := images.Make(platform, v1.Config{Cmd: []string{"/data"}}, []images.Entry{{Path: "/data", Mode: 0o755, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// The progress of a download tells how much of how much, and is told only a few times.
func TestPullTellsItsProgress(t *testing.T) {
	f := newFixture(t)
	name := f.registry.push(t, "slow:1", image(t, images.Host(), 4<<20))
	gate := make(chan struct{})
	f.registry.hold(gate)
	defer f.registry.hold(nil)

	var mu sync.Mutex
	var told []engine.Progress
	half := sync.OnceFunc(func() { close(gate) })
	_, err := f.Engine.Pull(t.Context(), name, false, func(p engine.Progress) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, p)
		if p.Status == "downloading" && p.Done > 0 {
			half()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if told[0].Status != "resolving" {
		t.Errorf("first %+v", told[0])
	}
	if !slices.ContainsFunc(told, func(p engine.Progress) bool { return p.Done > 0 && p.Done < p.Total && p.Total > 4<<20 }) {
		t.Errorf("nothing told between begin and end: %+v", told)
	}
	for i := 1; i < len(told); i++ {
		if told[i].Done < told[i-1].Done {
			t.Errorf("progress went back: %+v", told)
		}
	}
}

// An image for another machine is refused before its layers are fetched.
func TestNothingIsDownloadedForAnotherMachine(t *testing.T) {
	f := newFixture(t)
	name := f.registry.push(t, "foreign-big:1", image(t, v1.Platform{OS: "linux", Architecture: "s390x"}, 1<<20))
	_, err := f.Engine.Pull(t.Context(), name, false, nil)
	if !errors.Is(err, engine.ErrWrongArch) || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("Pull = %v", err)
	}
	statuses, err := f.Engine.client.ContentStore().ListStatuses(f.Engine.in(t.Context()))
	if err != nil || len(statuses) > 0 {
		t.Errorf("downloads under way: %v %v", statuses, err)
	}
	if list, err := f.Engine.Images(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("Images = %v, %v", list, err)
	}
}

func TestARegistryThatRefuses(t *testing.T) {
	f := newFixture(t)
	for status, want := range map[int]error{
		http.StatusUnauthorized: engine.ErrDenied,
		http.StatusForbidden:    engine.ErrDenied,
		http.StatusNotFound:     engine.ErrNotFound,
	} {
		name := f.registry.push(t, "closed:1", image(t, images.Host(), 10))
		f.registry.answer("closed", status)
		if _, err := f.Engine.Pull(t.Context(), name, false, nil); !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("status %d: Pull = %v; want %v", status, err, want)
		}
	}
	// A registry that is broken, or not there, is neither: trying again may help. Nor is containerd away.
	f.registry.answer("closed", http.StatusInternalServerError)
	for _, name := range []string{f.registry.host + "/closed:1", "127.0.0.1:1/closed:1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := f.Engine.Pull(ctx, name, false, nil)
		cancel()
		if err == nil {
			t.Errorf("Pull(%s) succeeded", name)
		}
		for _, not := range []error{engine.ErrNotFound, engine.ErrDenied, engine.ErrWrongArch, engine.ErrAway, context.DeadlineExceeded} {
			if errors.Is(err, not) {
				t.Errorf("Pull(%s) = %v", name, err)
			}
		}
	}
}

// Two pods that want the same image fetch it once; "always" asks the registry again and takes what is new.
func TestPullOnceAndAlways(t *testing.T) {
	f := newFixture(t)
	name := f.registry.push(t, "twice:1", image(t, images.Host(), 1<<20))
	before := f.registry.count()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if _, err := f.Engine.Pull(t.Context(), name, false, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := f.registry.count() - before; n != 2 {
		t.Errorf("%d blobs fetched; want config and layer", n)
	}
	old, err := f.Engine.Pull(t.Context(), name, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.registry.push(t, "twice:1", image(t, images.Host(), 1<<20))
	if again, err := f.Engine.Pull(t.Context(), name, false, nil); err != nil || again != old {
		t.Errorf("Pull = %s, %v; want what is present, %s", again, err, old)
	}
	if now, err := f.Engine.Pull(t.Context(), name, true, nil); err != nil || now == old {
		t.Errorf("Pull always = %s, %v; want another than %s", now, err, old)
	}
}

// Archives in every form are imported once, pinned, and one that is broken does not stop the others.
func TestImport(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	host := images.Host()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(images.Docker(filepath.Join(dir, "docker.tar"), "example.test/docker:1", image(t, host, 1000)))
	must(images.Docker(filepath.Join(dir, "zstd.tar.zst"), "short:1", image(t, host, 1000)))
	must(images.Docker(filepath.Join(dir, "foreign.tar"), "example.test/foreign:1", image(t, v1.Platform{OS: "linux", Architecture: "s390x"}, 1000)))
	must(images.OCI(filepath.Join(dir, "oci.tar"), "example.test/oci:1", map[*v1.Platform]v1.Image{
		&host:                                  image(t, host, 1000),
		{OS: "linux", Architecture: "s390x"}:   image(t, v1.Platform{OS: "linux", Architecture: "s390x"}, 1000),
		{OS: "linux", Architecture: "riscv64"}: image(t, v1.Platform{OS: "linux", Architecture: "riscv64"}, 1000),
	}))
	must(os.WriteFile(filepath.Join(dir, "broken.tar"), bytes.Repeat([]byte("x"), 2000), 0o644))
	must(os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("not an archive"), 0o644))

	want := []string{"docker.io/library/short:1", "example.test/docker:1", "example.test/oci:1"}
	for range 2 {
		got, err := f.Engine.Import(t.Context(), dir)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("imported (-want +got):\n%s", diff)
		}
		if err == nil || !strings.Contains(err.Error(), "broken.tar") || !strings.Contains(err.Error(), "foreign.tar") {
			t.Errorf("Import = %v; want both bad files named", err)
		}
		if !errors.Is(err, engine.ErrWrongArch) {
			t.Errorf("Import = %v; want ErrWrongArch among others", err)
		}
	}
	list, err := f.Engine.Images(t.Context())
	must(err)
	var pinned []string
	for _, i := range list {
		if i.Pinned && i.Bytes > 1000 {
			pinned = append(pinned, i.Names...)
		}
	}
	slices.Sort(pinned)
	if diff := cmp.Diff(want, pinned); diff != "" {
		t.Errorf("pinned (-want +got):\n%s", diff)
	}
	// Present without any registry.
	if _, err := f.Engine.Pull(t.Context(), "short:1", false, nil); err != nil {
		t.Errorf("Pull of an imported image: %v", err)
	}
	if names, err := f.Engine.Import(t.Context(), filepath.Join(dir, "none")); err != nil || names != nil {
		t.Errorf("Import of no directory = %v, %v", names, err)
	}
}

// An archive that was imported is not read again until it changes.
func TestImportReadsAFileOnce(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "app.tar")
	if err := images.Docker(file, "example.test/app:1", image(t, images.Host(), 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Engine.Import(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	// The same size and time, but nothing that can be read as an archive.
	if err := os.WriteFile(file, make([]byte, info.Size()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if names, err := f.Engine.Import(t.Context(), dir); err != nil || len(names) != 1 {
		t.Errorf("Import again = %v, %v", names, err)
	}
	if err := os.Chtimes(file, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if names, err := f.Engine.Import(t.Context(), dir); err == nil {
		t.Errorf("Import of the changed file = %v without an error", names)
	}
}

// Whoever wants an image that an archive has only for another machine is told so, and not what the registry said.
func TestAnArchiveForAnotherMachineIsNamed(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	name := f.registry.host + "/carried:1"
	foreign := image(t, v1.Platform{OS: "linux", Architecture: "s390x"}, 1000)
	file := filepath.Join(dir, "carried.tar")
	if err := images.Docker(file, name, foreign); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Engine.Pull(t.Context(), name, false, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("before the import Pull = %v; want ErrNotFound", err)
	}
	if _, err := f.Engine.Import(t.Context(), dir); !errors.Is(err, engine.ErrWrongArch) {
		t.Fatalf("Import = %v; want ErrWrongArch", err)
	}
	_, err := f.Engine.Pull(t.Context(), name, false, nil)
	if !errors.Is(err, engine.ErrWrongArch) || !strings.Contains(err.Error(), file) {
		t.Errorf("Pull = %v; want ErrWrongArch and the file", err)
	}
	// What a registry has is taken all the same.
	f.registry.push(t, "carried:1", image(t, images.Host(), 1000))
	if _, err := f.Engine.Pull(t.Context(), name, false, nil); err != nil {
		t.Errorf("Pull of what the registry has = %v", err)
	}
}
