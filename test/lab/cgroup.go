package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// RemoveGroups removes the cgroups of that name, of all controllers, innermost first; those of processes that are being
// killed as soon as the kernel has let go of them.
func RemoveGroups(name string, limit time.Duration) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	_, err = Until("the cgroups "+name+" are gone", limit, func() (bool, string) {
		var left error
		for _, top := range append(tops, "/sys/fs/cgroup/"+name) {
			var groups []string
			_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.IsDir() {
					groups = append(groups, path)
				}
				return nil // gone already, or never there: fine
			})
			for _, group := range slices.Backward(groups) {
				if err := syscall.Rmdir(group); err != nil && !errors.Is(err, syscall.ENOENT) {
					left = errors.Join(left, fmt.Errorf("remove %s: %w", group, err))
				}
			}
		}
		return left == nil, fmt.Sprint(left)
	})
	return err
}

// removeGroups removes the cgroups of every host's pods. Those of containers that somebody else ends are left.
func (l *Lab) removeGroups() {
	for _, h := range l.hosts {
		sum := sha256.Sum256([]byte(filepath.Join(l.Dir, h.Name)))
		_ = RemoveGroups("skerry-"+hex.EncodeToString(sum[:4]), time.Second)
	}
}
