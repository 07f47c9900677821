package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// Config says where the volumes lie.
type Config struct {
	Root string // of all pods' directories, see pod.VolumeDir
}

// Volumes makes and removes pods' volumes. It may be used by several goroutines.
type Volumes struct {
	given string // the root as the plan has it
	root  string // the same, as the mount table has it
	mu    sync.Mutex
}

// New prepares the root directory. Nobody but root looks into it.
func New(config Config) (*Volumes, error) {
	if err := os.MkdirAll(config.Root, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of pods: %w", err)
	}
	root, err := filepath.EvalSymlinks(config.Root) // as the mount table has it
	if err != nil {
		return nil, fmt.Errorf("make the directory of pods: %w", err)
	}
	return &Volumes{given: config.Root, root: root}, nil
}

// checkName refuses a name that would lead anywhere else: whole trees are removed here.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
		return fmt.Errorf("%q is no name of a directory", name)
	}
	return nil
}

// Mount makes a pod's volumes what they are to be. It may be repeated, with other contents, while containers see
// them. Its errors are for the user.
func (v *Volumes) Mount(_ context.Context, uid string, volumes []pod.Volume) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := checkName(uid); err != nil {
		return err
	}
	mounted, err := mountsBelow(pod.Dir(v.root, uid))
	if err != nil {
		return err
	}
	for _, one := range volumes {
		if err := v.mount(uid, one, mounted); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", one.Name, err)
		}
	}
	return nil
}

func (v *Volumes) mount(uid string, one pod.Volume, mounted []string) error {
	if err := checkName(one.Name); err != nil {
		return err
	}
	if one.Kind == pod.HostVolume {
		return checkHostPath(one.HostPath, one.HostType)
	}
	dir, mode := pod.VolumeDir(v.root, uid, one.Name), uint32(0o755)
	if one.Kind == pod.EmptyVolume {
		mode = 0o777 // whatever user the containers run as
	}
	if one.Group != nil {
		mode |= unix.S_ISGID // what is made there is the group's, too
	}
	if err := makeDir(dir, mode, one.Group); err != nil {
		return err
	}
	if one.Memory && !contains(mounted, dir) {
		options := fmt.Sprintf("mode=%o", mode)
		if one.Group != nil {
			options += fmt.Sprintf(",gid=%d", *one.Group)
		}
		if one.SizeBytes > 0 {
			options += fmt.Sprintf(",size=%d", one.SizeBytes)
		}
		if err := mountTmpfs(dir, options); err != nil {
			return err
		}
	}
	if one.Kind == pod.FileVolume {
		return writeFiles(dir, one.Files, one.Group)
	}
	return nil
}

// asideSuffix makes a name that no volume has.
const asideSuffix = "..new"

// makeDir makes a volume's directory unless it is there: from then on its mode is the containers' to change. It is
// made aside and moved to its place, so that a power cut leaves none with another mode.
func makeDir(dir string, mode uint32, group *int64) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	aside := dir + asideSuffix
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	if err := own(aside, group); err != nil {
		return err
	}
	if err := unix.Chmod(aside, mode); err != nil { // whatever the umask
		return fmt.Errorf("set the mode of the volume: %w", err)
	}
	return os.Rename(aside, dir)
}

// own gives something to a group, if there is one.
func own(path string, group *int64) error {
	if group == nil {
		return nil
	}
	return os.Lchown(path, -1, int(*group))
}

// mountTmpfs keeps what is in memory off the swap where the kernel can (6.4 and later).
func mountTmpfs(dir, options string) error {
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
	}
	if err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}

// Unmount removes all volumes of a pod. What is not there is success.
func (v *Volumes) Unmount(_ context.Context, uid string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := checkName(uid); err != nil {
		return err
	}
	dir := pod.Dir(v.root, uid)
	mounted, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for i := len(mounted) - 1; i >= 0; i-- {
		if err := unix.Unmount(mounted[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", mounted[i], err)
		}
	}
	if mounted, err = mountsBelow(dir); err != nil {
		return err
	}
	if len(mounted) > 0 {
		return fmt.Errorf("unmount volumes of pod %s: %s is still mounted", uid, mounted[0])
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove volumes of pod %s: %w", uid, err)
	}
	return nil
}

// List returns the pods that have volumes, or anything where volumes were: all that Unmount may be needed for.
func (v *Volumes) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(v.root)
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var pods []string
	for _, e := range entries {
		pods = append(pods, e.Name())
	}
	return pods, nil
}
