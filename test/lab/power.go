package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PowerOff takes everything of the node away at once, and tells nobody: the link, the agent, the guard, the shims, the
// containers. Only the board's identity remains: what the kernel calls a boot is that of the one machine.
func (a *Agent) PowerOff() error {
	failed := []error{a.Host.Cut(), a.Signal(syscall.SIGKILL)}
	if a.Guard != nil {
		failed = append(failed, a.Guard.Signal(syscall.SIGKILL))
	}
	_, err := Until("everything of "+a.Host.Name+" has ended", 10*time.Second, func() (bool, string) {
		pids := a.processes()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		tasks, err := a.Tasks()
		return len(pids) == 0 && err == nil && len(tasks) == 0, fmt.Sprint(pids, tasks, err)
	})
	failed = append(failed, err, a.Wait(10*time.Second))
	if a.Guard != nil {
		failed = append(failed, a.Guard.Wait(10*time.Second))
	}
	return errors.Join(failed...)
}

// PowerOn starts the node again after PowerOff, without what a reboot takes away. The link stays as it is.
func (a *Agent) PowerOn() error {
	if err := a.LoseVolatile(); err != nil {
		return err
	}
	if a.Guard != nil {
		if err := os.RemoveAll(a.guardDir()); err != nil {
			return err
		}
		if err := a.StartGuard(); err != nil {
			return err
		}
	}
	return a.Start()
}

// processes are those in the cgroups of the node's pods, which are thawed on the way for what is frozen does not die,
// and their shims.
func (a *Agent) processes() []int {
	var pids []int
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + a.cgroup()) // the pattern is good
	for _, top := range append(tops, "/sys/fs/cgroup/"+a.cgroup()) {
		_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return nil // gone already, or never there: fine
			}
			_ = writeExisting(filepath.Join(path, "freezer.state"), "THAWED")
			_ = writeExisting(filepath.Join(path, "cgroup.freeze"), "0")
			text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		text, _ := os.ReadFile(file)
		line := string(text)
		if strings.Contains(line, "containerd-shim") && strings.Contains(line, "\x00"+a.Namespace+"\x00") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func writeExisting(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// cgroup is the parent of the node's pods, as the agent names it.
func (a *Agent) cgroup() string {
	sum := sha256.Sum256([]byte(a.DataDir))
	return "skerry-" + hex.EncodeToString(sum[:4])
}
