package images

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

// Host is the platform of this machine.
func Host() v1.Platform {
	p := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if p.Architecture == "arm" {
		p.Variant = "v7"
	}
	return p
}

// ParsePlatforms reads a list such as "amd64,arm64,arm/v7".
func ParsePlatforms(list string) ([]v1.Platform, error) {
	var platforms []v1.Platform
	for _, word := range strings.Split(list, ",") {
		p, err := v1.ParsePlatform("linux/" + strings.TrimPrefix(word, "linux/"))
		if err != nil {
			return nil, fmt.Errorf("platform %q: %w", word, err)
		}
		platforms = append(platforms, *p)
	}
	return platforms, nil
}

// Docker writes one image as a docker archive.
func Docker(file, image string, img v1.Image) error {
	ref, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	return aside(file, func(w io.Writer) error { return tarball.Write(ref, img, w) })
}

// OCI writes images for several platforms as one OCI archive under one name.
func OCI(file, image string, imgs map[*v1.Platform]v1.Image) error {
	var index v1.ImageIndex = empty.Index
	for platform, img := range imgs {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          image,
		"org.opencontainers.image.ref.name": image,
	})); err != nil {
		return err
	}
	return aside(file, func(w io.Writer) error { return pack(w, dir) })
}

// pack writes a directory as a tar.
func pack(w io.Writer, dir string) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: rel, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = t.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return t.Close()
}

// aside writes a file under another name and renames it when it is whole; a name ending in .zst is
// compressed.
func aside(file string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	defer f.Close()
	if strings.HasSuffix(file, ".zst") {
		z, err := zstd.NewWriter(f)
		if err != nil {
			return err
		}
		if err := write(z); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
	} else if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// WriteAll makes both images for the platforms and writes them to dir: probe.tar and busybox.tar (the latter
// for this machine only). It returns the files.
func WriteAll(dir string, platforms []v1.Platform) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	probe, busybox := filepath.Join(dir, "probe.tar"), filepath.Join(dir, "busybox.tar")
	imgs := map[*v1.Platform]v1.Image{}
	for i := range platforms {
		img, err := ProbeImage(platforms[i])
		if err != nil {
			return nil, err
		}
		imgs[&platforms[i]] = img
		if len(platforms) == 1 {
			if err := Docker(probe, Probe, img); err != nil {
				return nil, err
			}
		}
	}
	if len(platforms) > 1 {
		if err := OCI(probe, Probe, imgs); err != nil {
			return nil, err
		}
	}
	box, err := BusyboxImage(Host())
	if err != nil {
		return nil, err
	}
	if err := Docker(busybox, Busybox, box); err != nil {
		return nil, err
	}
	return []string{probe, busybox}, nil
}
