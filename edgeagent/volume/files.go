package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// Names that a volume of files keeps for itself; those of files never begin with two dots.
const (
	dataLink = "..data"
	newLink  = "..data_new"
	version  = "..version-*"
)

// writeFiles makes the volume have exactly these files, all at once.
func writeFiles(dir string, files []pod.File) error {
	for _, f := range files {
		if !filepath.IsLocal(f.Path) || filepath.Clean(f.Path) != f.Path || strings.HasPrefix(f.Path, "..") || f.Path == "." {
			return fmt.Errorf("the path %q leads out of the volume", f.Path)
		}
	}
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current == "" || !same(filepath.Join(dir, current), files) {
		if current, err = switchTo(dir, files); err != nil {
			return err
		}
	}
	return tidy(dir, current, files)
}

// switchTo writes a new version and makes it the one that is seen; it returns its name.
func switchTo(dir string, files []pod.File) (string, error) {
	fresh, err := os.MkdirTemp(dir, version)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return "", err
	}
	for _, f := range files {
		path := filepath.Join(fresh, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			return "", err
		}
		if err := os.Chmod(path, os.FileMode(f.Mode)); err != nil {
			return "", err
		}
	}
	link := filepath.Join(dir, newLink)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	name := filepath.Base(fresh)
	if err := os.Symlink(name, link); err != nil {
		return "", err
	}
	return name, os.Rename(link, filepath.Join(dir, dataLink))
}

// tidy makes the links that lead to the files, and removes links and versions that are over.
func tidy(dir, current string, files []pod.File) error {
	wanted := map[string]bool{}
	for _, f := range files {
		top, _, _ := strings.Cut(f.Path, "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == dataLink || name == current {
			continue
		}
		target, _ := os.Readlink(filepath.Join(dir, name))
		if wanted[name] && target == filepath.Join(dataLink, name) {
			delete(wanted, name)
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether a version has exactly these files.
func same(dir string, files []pod.File) bool {
	left := map[string]pod.File{}
	for _, f := range files {
		left[f.Path] = f
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f, ok := left[name]
		if !ok || !info.Mode().IsRegular() || info.Mode().Perm() != os.FileMode(f.Mode) || info.Size() != int64(len(f.Data)) {
			return errDiffers
		}
		data, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(data, f.Data) {
			err = errDiffers
		}
		delete(left, name)
		return err
	})
	return err == nil && len(left) == 0
}

var errDiffers = errors.New("it differs")
