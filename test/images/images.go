package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Names of the images as manifests write them.
const (
	Probe   = "skerry.test/probe:1"
	Busybox = "busybox:1"
)

// Entry is one file of an image; a Link is a symbolic link.
type Entry struct {
	Path string // absolute
	Mode int64
	Data []byte
	Link string
}

// Make builds an image of one layer.
func Make(platform v1.Platform, config v1.Config, entries []Entry) (v1.Image, error) {
	data, err := archive(entries)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant = platform.OS, platform.Architecture, platform.Variant
	file.Config = config
	return mutate.ConfigFile(img, file)
}

// archive is the layer: every directory on the way, then the entries.
func archive(entries []Entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{"/": true}
	var directory func(dir string) error
	directory = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := directory(filepath.Dir(dir)); err != nil {
			return err
		}
		mode := int64(0o755)
		if dir == "/tmp" {
			mode = 0o1777
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: mode})
	}
	for _, dir := range []string{"/tmp", "/etc"} {
		if err := directory(dir); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		if err := directory(filepath.Dir(e.Path)); err != nil {
			return nil, err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(e.Path, "/"), Mode: e.Mode, Size: int64(len(e.Data))}
		if e.Link != "" {
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.Data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

// ProbeImage compiles the probe for a platform and packs it. The Go command must be at hand.
func ProbeImage(platform v1.Platform) (v1.Image, error) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-buildvcs=false", "-o", binary,
		"github.com/skerry-edge/skerry/test/images/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture, "GOFLAGS=")
	if arm, ok := strings.CutPrefix(platform.Variant, "v"); ok && platform.Architecture == "arm" {
		cmd.Env = append(cmd.Env, "GOARM="+arm)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the probe for %s: %w\n%s", platform, err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return Make(platform, v1.Config{
		Entrypoint: []string{"/probe"},
		Cmd:        []string{"sleep"},
		Env:        []string{"PATH=/usr/bin:/bin:/"},
	}, []Entry{
		{Path: "/probe", Mode: 0o755, Data: data},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/:/probe\napp:x:1000:1000::/:/probe\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\napp:x:1000:\n")},
	})
}

// BusyboxImage packs the machine's static busybox, for the machine's own platform.
func BusyboxImage(platform v1.Platform) (v1.Image, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("busybox is not installed: apt-get install busybox-static")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("ask busybox for its applets: %w", err)
	}
	entries := []Entry{
		{Path: "/bin/busybox", Mode: 0o755, Data: data},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\n")},
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			entries = append(entries, Entry{Path: "/bin/" + applet, Link: "busybox"})
		}
	}
	return Make(platform, v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}}, entries)
}
