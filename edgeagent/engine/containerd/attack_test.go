package containerd

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/test/images"
)

// archiveOf is a tar with these entries; each has its size in data.
func archiveOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An archive whose entries lead out of it, or are no files, or are more than there is room for, is refused before
// containerd has read past them, with the entry's name. The attacker gets no file anywhere and no full disk.
func TestAttackArchives(t *testing.T) {
	for _, c := range []struct {
		entry tar.Header
		want  string
	}{
		{tar.Header{Name: "../etc/cron.d/x"}, `its entry "../etc/cron.d/x" leads out of it`},
		{tar.Header{Name: "a/../../x"}, `its entry "a/../../x" leads out of it`},
		{tar.Header{Name: "/etc/cron.d/x"}, `its entry "/etc/cron.d/x" leads out of it`},
		{tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}, `its entry "l" is a link that leads out of it`},
		{tar.Header{Name: "a/l", Typeflag: tar.TypeSymlink, Linkname: "../../x"}, `its entry "a/l" is a link that leads out of it`},
		{tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}, `its entry "h" is a link that leads out of it`},
		{tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../x"}, `its entry "h" is a link that leads out of it`},
		{tar.Header{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}, `its entry "sda" is neither a file nor a directory nor a link`},
		{tar.Header{Name: "tty", Typeflag: tar.TypeChar, Devmajor: 5}, `its entry "tty" is neither a file nor a directory nor a link`},
		{tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}, `its entry "pipe" is neither a file nor a directory nor a link`},
		{tar.Header{Name: "blobs/sha256/x", Size: 5000}, `with "blobs/sha256/x" it is larger than what the disk has room for`},
	} {
		data := archiveOf(t, tar.Header{Name: "ok", Size: 1}, c.entry)
		if err := strain(io.Discard, bytes.NewReader(data), 4096); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.entry.Name, err)
		}
	}
	many := make([]tar.Header, maxEntries+1)
	for i := range many {
		many[i].Name = fmt.Sprint("f", i)
	}
	if err := strain(io.Discard, bytes.NewReader(archiveOf(t, many...)), 4096); err == nil || !strings.Contains(err.Error(), "more than 10000 entries") {
		t.Errorf("many entries: %v", err)
	}
	var out bytes.Buffer
	good := archiveOf(t, tar.Header{Name: "a/", Typeflag: tar.TypeDir}, tar.Header{Name: "./a/layer.tar", Size: 7},
		tar.Header{Name: "b/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../a/layer.tar"})
	if err := strain(&out, bytes.NewReader(good), 4096); err != nil {
		t.Errorf("what docker save writes: %v", err)
	}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || h.Name == "./a/layer.tar" && h.Size != 7 || h.Name == "b/layer.tar" && h.Linkname != "../a/layer.tar" {
			t.Errorf("it became %+v (%v)", h, err)
		}
	}
}

// Few bytes that unpack to many are stopped where the room ends: compressed zeros, and a sparse file whose holes
// take no bytes at all.
func TestAttackArchiveBombs(t *testing.T) {
	var small bytes.Buffer
	z, err := zstd.NewWriter(&small)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "zeros", Size: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	unpacked, err := zstd.NewReader(&small)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	for what, r := range map[string]io.Reader{"compressed zeros": unpacked, "a sparse file": bytes.NewReader(sparseArchive(1 << 40))} {
		count := &counting{}
		if err := strain(count, r, 1<<20); err == nil || !strings.Contains(err.Error(), "larger than what the disk has room for") {
			t.Errorf("%s: %v", what, err)
		}
		if count.n > 1<<20 {
			t.Errorf("%s: %d bytes came through", what, count.n)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type counting struct{ n int64 }

func (c *counting) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

// sparseArchive has one old GNU sparse file of a size, which is one hole.
func sparseArchive(size int64) []byte {
	h := make([]byte, 512)
	copy(h, "hole")
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], "00000000000\x00")
	copy(h[136:], "00000000000\x00")
	h[156] = tar.TypeGNUSparse
	copy(h[257:], "ustar  \x00")
	copy(h[386:], fmt.Sprintf("%011o\x00", size&(1<<33-1))) // the only piece: at the end, empty
	copy(h[398:], "00000000000\x00")
	base256(h[386:398], size)
	base256(h[483:495], size)
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(h, make([]byte, 1024)...)
}

// base256 writes a number that is too large for octal digits.
func base256(field []byte, n int64) {
	for i := len(field) - 1; i >= 0; i-- {
		field[i], n = byte(n), n>>8
	}
	field[0] |= 0x80
}

// An image whose layer has entries that lead out of its root, through names, links and hard links: containerd unpacks
// it below its root or not at all. The attacker gets no file of the node, neither to read nor to write.
func TestAttackLayers(t *testing.T) {
	f := newFixture(t)
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("of the node"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 40)
	for what, entries := range map[string][]tar.Header{
		"names":     {{Name: up + outside[1:] + "/made", Size: 3, Mode: 0o644}, {Name: outside + "/made", Size: 3, Mode: 0o644}},
		"a link":    {{Name: "out", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "out/made", Size: 3, Mode: 0o644}},
		"a link up": {{Name: "out", Typeflag: tar.TypeSymlink, Linkname: up + outside[1:]}, {Name: "out/made", Size: 3, Mode: 0o644}},
		"hard link": {{Name: "stolen", Typeflag: tar.TypeLink, Linkname: up + victim[1:]}, {Name: "stolen", Size: 3, Mode: 0o644}},
		"whiteout":  {{Name: "out", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "out/.wh.victim"}},
	} {
		dir := t.TempDir()
		if err := writeImage(filepath.Join(dir, "evil.tar"), archiveOf(t, entries...)); err != nil {
			t.Fatal(err)
		}
		_, err := f.Engine.Import(t.Context(), dir)
		t.Logf("%s: %v", what, err)
		if text, err := os.ReadFile(victim); err != nil || string(text) != "of the node" {
			t.Errorf("%s: the victim holds %q (%v)", what, text, err)
		}
		if entries, _ := os.ReadDir(outside); len(entries) != 1 {
			t.Errorf("%s: outside there is %v", what, entries)
		}
	}
}

func writeImage(file string, layer []byte) error {
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	host := images.Host()
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = host.OS, host.Architecture, host.Variant
	config.Config = v1.Config{Cmd: []string{"/x"}}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	tag, err := name.NewTag("evil.test/evil:1")
	if err != nil {
		return err
	}
	return tarball.WriteToFile(file, tag, img)
}

// A spec that wants no root gets none, whatever the image says of its user, in the words of the kubelet.
func TestNonRoot(t *testing.T) {
	for _, c := range []struct {
		image string
		user  *int64
		want  string
	}{
		{"", nil, "container has runAsNonRoot and image will run as root"},
		{"0", nil, "container has runAsNonRoot and image will run as root"},
		{"000:1000", nil, "container has runAsNonRoot and image will run as root"},
		{"+0", nil, "container has runAsNonRoot and image will run as root"},
		{"root", nil, "container has runAsNonRoot and image has non-numeric user (root), cannot verify user is non-root"},
		{"www", nil, "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root"},
		{"1000", nil, ""},
		{"1000:0", nil, ""},
		{"root", number(1000), ""},
		{"1000", number(0), "container has runAsNonRoot and would run as root"},
	} {
		err := checkNonRoot(engine.Spec{NonRoot: true, User: c.user}, ocispec.ImageConfig{User: c.image})
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, engine.ErrNonRoot) || err.Error() != c.want) {
			t.Errorf("%q: %v", c.image, err)
		}
		if err := checkNonRoot(engine.Spec{User: c.user}, ocispec.ImageConfig{User: c.image}); err != nil {
			t.Errorf("%q, where root may be: %v", c.image, err)
		}
	}
}
