package containerd

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"
)

// Whatever an archive holds, no more of it comes through than there is room for, and nothing that leads out of it.
func FuzzArchive(f *testing.F) {
	f.Add(archiveOf(f, tar.Header{Name: "a/", Typeflag: tar.TypeDir}, tar.Header{Name: "a/layer.tar", Size: 7},
		tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a/layer.tar"}))
	f.Add(archiveOf(f, tar.Header{Name: "../x"}))
	f.Add(archiveOf(f, tar.Header{Name: "x", PAXRecords: map[string]string{"comment": "c"}, Format: tar.FormatPAX}))
	f.Add(sparseArchive(1 << 40))
	f.Add(sparseArchive(700))
	const room = 4096
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		failed := strain(&out, bytes.NewReader(data), room)
		size := int64(0)
		for r := tar.NewReader(&out); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) || failed != nil && err != nil {
				break
			}
			if err != nil {
				t.Fatalf("what came through is no archive: %v", err)
			}
			size += h.Size
			if !filepath.IsLocal(h.Name) || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink && h.Typeflag != tar.TypeLink {
				t.Errorf("%q of type %q came through", h.Name, h.Typeflag)
			}
		}
		if size > room {
			t.Errorf("%d bytes came through", size)
		}
	})
}
