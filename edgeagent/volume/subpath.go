package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// Bind binds parts of volumes to the places where a container's mounts expect them. Containers may have written to
// the volumes: a link in them is followed only as long as it stays in its volume.
func (v *Volumes) Bind(uid string, parts []pod.SubPath) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range parts {
		if err := v.bind(uid, p); err != nil {
			return fmt.Errorf("failed to prepare subPath %q: %w", p.Path, err)
		}
	}
	return nil
}

func (v *Volumes) bind(uid string, p pod.SubPath) error {
	if err := checkName(uid); err != nil {
		return err
	}
	below, err := filepath.Rel(filepath.Join(pod.Dir(v.given, uid), "subpaths"), p.Place)
	if err != nil || !filepath.IsLocal(below) || !filepath.IsLocal(p.Path) {
		return errors.New("it leads out of the volume")
	}
	place := filepath.Join(pod.Dir(v.root, uid), "subpaths", below)
	volume, err := filepath.EvalSymlinks(p.Volume) // the volume's own place is the user's, or ours
	if err != nil {
		return err
	}
	part, err := openBelow(volume, p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeBelow(volume, p.Path); err == nil {
			part, err = openBelow(volume, p.Path)
		}
	}
	if err != nil {
		return err
	}
	defer part.Close()
	info, err := part.Stat()
	if err != nil {
		return err
	}
	if err := makePlace(place, info.IsDir()); err != nil {
		return err
	}
	self := fmt.Sprintf("/proc/self/fd/%d", part.Fd())
	if err := unix.Mount(self, place, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind it: %w", err)
	}
	return nil
}

// openBelow opens what a path below a directory stands for, which can't be outside of it.
func openBelow(dir, path string) (*os.File, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return nil, errors.New("it leads out of the volume")
	case errors.Is(err, unix.ENOSYS):
		return nil, errors.New("subPath needs Linux 5.6 or later on the node")
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// makeBelow makes a directory below another; links do not lead it out.
func makeBelow(dir, path string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.MkdirAll(strings.TrimSuffix(path, "/"), 0o755)
}

// makePlace makes the mount point, free of what was mounted there for an earlier attempt.
func makePlace(place string, dir bool) error {
	mounted, err := mountsBelow(place)
	if err != nil {
		return err
	}
	for i := len(mounted) - 1; i >= 0; i-- {
		if err := unix.Unmount(mounted[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", mounted[i], err)
		}
	}
	if err := os.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir {
		return os.MkdirAll(place, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(place, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
