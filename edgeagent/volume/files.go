package volume

import (
	"bytes"
	"crypto/rand"
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
	version  = "..version-"
)

// files is a volume of files. Everything is done within its directory: no link in it leads anywhere else, whoever
// has put it there.
type files struct {
	root  *os.Root
	group *int64
}

// writeFiles makes the volume have exactly these files, all at once. They are the group's to read, if there is one.
func writeFiles(dir string, list []pod.File, group *int64) error {
	wanted := make([]pod.File, len(list))
	for i, f := range list {
		if !filepath.IsLocal(f.Path) || filepath.Clean(f.Path) != f.Path || strings.HasPrefix(f.Path, "..") || f.Path == "." {
			return fmt.Errorf("the path %q leads out of the volume", f.Path)
		}
		if wanted[i] = f; group != nil {
			wanted[i].Mode |= 0o440 // as the kubelet does for fsGroup
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	v := files{root: root, group: group}
	current, err := root.Readlink(dataLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current == "" || !v.same(current, wanted) {
		if current, err = v.switchTo(wanted); err != nil {
			return err
		}
	}
	return v.tidy(current, wanted)
}

// switchTo writes a new version and makes it the one that is seen; it returns its name.
func (v files) switchTo(list []pod.File) (string, error) {
	name := version + rand.Text()
	if err := v.mkdir(name); err != nil {
		return "", err
	}
	for _, f := range list {
		path := filepath.Join(name, f.Path)
		if err := v.mkdir(filepath.Dir(path)); err != nil {
			return "", err
		}
		if err := v.root.WriteFile(path, f.Data, 0o600); err != nil {
			return "", err
		}
		if err := v.own(path, os.FileMode(f.Mode)); err != nil {
			return "", err
		}
	}
	if err := v.root.Remove(newLink); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := v.root.Symlink(name, newLink); err != nil {
		return "", err
	}
	return name, v.root.Rename(newLink, dataLink)
}

// mkdir makes a directory, and those above it, for all to look into.
func (v files) mkdir(path string) error {
	if info, err := v.root.Lstat(path); err == nil && info.IsDir() {
		return nil
	}
	if above := filepath.Dir(path); above != "." {
		if err := v.mkdir(above); err != nil {
			return err
		}
	}
	if err := v.root.Mkdir(path, 0o700); err != nil {
		return err
	}
	return v.own(path, 0o755)
}

func (v files) own(path string, mode os.FileMode) error {
	if v.group != nil {
		if err := v.root.Lchown(path, -1, int(*v.group)); err != nil {
			return err
		}
	}
	return v.root.Chmod(path, mode)
}

// tidy makes the links that lead to the files, and removes links and versions that are over.
func (v files) tidy(current string, list []pod.File) error {
	wanted := map[string]bool{}
	for _, f := range list {
		top, _, _ := strings.Cut(f.Path, "/")
		wanted[top] = true
	}
	entries, err := fs.ReadDir(v.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == dataLink || name == current {
			continue
		}
		target, _ := v.root.Readlink(name)
		if wanted[name] && target == filepath.Join(dataLink, name) {
			delete(wanted, name)
			continue
		}
		if err := v.root.RemoveAll(name); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := v.root.Symlink(filepath.Join(dataLink, name), name); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether a version has exactly these files.
func (v files) same(current string, list []pod.File) bool {
	if !strings.HasPrefix(current, version) || !filepath.IsLocal(current) || filepath.Base(current) != current {
		return false // no version of ours
	}
	left := map[string]pod.File{}
	for _, f := range list {
		left[f.Path] = f
	}
	err := fs.WalkDir(v.root.FS(), current, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, current+"/")
		f, ok := left[name]
		if !ok || !info.Mode().IsRegular() || info.Mode().Perm() != os.FileMode(f.Mode) || info.Size() != int64(len(f.Data)) {
			return errDiffers
		}
		data, err := v.root.ReadFile(path)
		if err == nil && !bytes.Equal(data, f.Data) {
			err = errDiffers
		}
		delete(left, name)
		return err
	})
	return err == nil && len(left) == 0
}

var errDiffers = errors.New("it differs")
