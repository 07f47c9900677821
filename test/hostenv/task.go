package hostenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// task is a container of this containerd, as far as it has traces outside of our directory: runc's state and
// cgroup, and its shim's socket. A shim that is killed leaves all of them.
type task struct{ namespace, name, socket string }

// tasks reads them from what containerd keeps in its state directory.
func (c *Containerd) tasks() []task {
	files, err := filepath.Glob(filepath.Join(c.state(), "io.containerd.runtime.v2.task", "*", "*", "address"))
	if err != nil {
		return nil
	}
	var tasks []task
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // deleted meanwhile
		}
		bundle := filepath.Dir(f)
		tasks = append(tasks, task{
			namespace: filepath.Base(filepath.Dir(bundle)),
			name:      filepath.Base(bundle),
			socket:    strings.TrimPrefix(strings.TrimSpace(string(text)), "unix://"),
		})
	}
	return tasks
}

// runcRoot is where the shim has runc keep its state, whatever containerd's own directories are.
const runcRoot = "/run/containerd/runc"

// clear ends the task's processes and removes its traces. It is for when the shim is gone.
func (t task) clear() error {
	out, err := exec.Command("runc", "--root", filepath.Join(runcRoot, t.namespace), "delete", "--force", t.name).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("delete container %s: %w: %s", t.name, err, out)
	}
	if gone := os.Remove(t.socket); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
