package hostenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/images"
)

// Whatever runs in it, closing leaves no process, mount, socket or file, also when containerd was killed.
func TestCloseLeavesNothing(t *testing.T) {
	if err := Why(); err != nil {
		t.Skip(err)
	}
	base, err := os.MkdirTemp("", "ske")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir, name := filepath.Join(base, "c"), filepath.Base(base)
	c, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	box, err := images.BusyboxImage(images.Host())
	if err != nil {
		t.Fatal(errors.Join(err, c.Close()))
	}
	tar := filepath.Join(base, "busybox.tar")
	if err := images.Docker(tar, images.Busybox, box); err != nil {
		t.Fatal(errors.Join(err, c.Close()))
	}
	for _, args := range []string{"images import " + tar, "run --detach docker.io/library/" + images.Busybox + " " + name + " sleep 1000"} {
		ctr := exec.Command("ctr", append([]string{"--address", c.Socket}, strings.Fields(args)...)...)
		if out, err := ctr.CombinedOutput(); err != nil {
			t.Fatalf("ctr %s: %v\n%s", args, errors.Join(err, c.Close()), out)
		}
	}
	if shims, err := c.Shims(); err != nil || len(shims) != 1 {
		t.Errorf("Shims = %v, %v; want one", shims, err)
	}
	if mounts, err := c.Mounts(); err != nil || len(mounts) != 1 {
		t.Errorf("Mounts = %v, %v; want one", mounts, err)
	}
	tasks := c.tasks()
	if len(tasks) != 1 {
		t.Fatal(fmt.Errorf("tasks %v; want one", tasks), c.Close())
	}
	outside := []string{tasks[0].socket, filepath.Join(runcRoot, "default", name)}
	if groups, err := filepath.Glob("/sys/fs/cgroup/*/default/" + name); err == nil {
		outside = append(outside, groups...)
	}
	for _, file := range outside {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("nothing to be left: %v", err)
		}
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	if err := c.Start(); err != nil {
		t.Error(err)
	}
	if shims, err := c.Shims(); err != nil || len(shims) != 1 {
		t.Errorf("after a kill: Shims = %v, %v; want one", shims, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, file := range append(outside, dir) {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", file, err)
		}
	}
	if shims, err := c.Shims(); err != nil || len(shims) != 0 {
		t.Errorf("Shims = %v, %v; want none", shims, err)
	}
	if mounts, err := mountsBelow(dir); err != nil || len(mounts) != 0 {
		t.Errorf("mounts %v, %v; want none", mounts, err)
	}
}
