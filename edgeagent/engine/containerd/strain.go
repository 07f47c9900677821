package containerd

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxEntries is how many entries an archive may have; an image of a hundred layers has some three hundred.
const maxEntries = 10_000

// strained reads an image archive through strain. Whoever closes it has waited for the goroutine.
func strained(r io.Reader, room int64) io.ReadCloser {
	out, in := io.Pipe()
	s := &straining{PipeReader: out, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		in.CloseWithError(strain(in, r, room))
	}()
	return s
}

type straining struct {
	*io.PipeReader
	done chan struct{}
}

func (s *straining) Close() error {
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// strain copies an image archive, and stops at what none has: names and links that lead out of it, devices, or
// more bytes than there is room for, however few it takes to say so (a sparse file, a compressed one).
func strain(w io.Writer, r io.Reader, room int64) error {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if n == maxEntries {
			return fmt.Errorf("it has more than %d entries: it is no image archive", maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // a comment
		}
		if err := checkEntry(h); err != nil {
			return err
		}
		if room -= h.Size; room < 0 {
			return fmt.Errorf("with %q it is larger than what the disk has room for", h.Name)
		}
		plain := tar.Header{Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size, Mode: 0o644}
		if h.Typeflag == tar.TypeGNUSparse {
			plain.Typeflag = tar.TypeReg
		}
		if err := out.WriteHeader(&plain); err != nil {
			return fmt.Errorf("read the archive: entry %q: %w", h.Name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("read the archive: entry %q: %w", h.Name, err)
		}
	}
}

// checkEntry refuses an entry that an image archive never has.
func checkEntry(h *tar.Header) error {
	if !filepath.IsLocal(h.Name) {
		return fmt.Errorf("its entry %q leads out of it", h.Name)
	}
	target := "."
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeDir:
	case tar.TypeSymlink:
		if target = path.Join(path.Dir(h.Name), h.Linkname); path.IsAbs(h.Linkname) {
			target = h.Linkname
		}
	case tar.TypeLink:
		target = h.Linkname
	default:
		return fmt.Errorf("its entry %q is neither a file nor a directory nor a link: it is no image archive", h.Name)
	}
	if !filepath.IsLocal(target) {
		return fmt.Errorf("its entry %q is a link that leads out of it", h.Name)
	}
	return nil
}

// room is how many bytes fit where containerd keeps images. Where that can't be seen there is no bound.
func (e *Engine) room(ctx context.Context) int64 {
	plugins, err := e.client.IntrospectionService().Plugins(ctx, "type==io.containerd.content.v1")
	if err != nil {
		return math.MaxInt64
	}
	for _, p := range plugins.Plugins {
		var fs unix.Statfs_t
		if root := p.Exports["root"]; root != "" && unix.Statfs(root, &fs) == nil {
			return int64(fs.Bavail) * int64(fs.Bsize)
		}
	}
	return math.MaxInt64
}
