package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

const stop = "/skerry-1a2b3c4d/stop"

// process is one of the fake kernel's.
type process struct {
	group    string
	only     string // the one hierarchy that it is in; empty: all
	immortal bool   // in the kernel's hands: killed, it does not die
	killed   bool
	ran      bool // had the processor since it was last looked at
}

// kernel is cgroup file systems made of plain directories, and the processes in them. It does its part in settle.
type kernel struct {
	*testing.T
	hierarchies []hierarchy
	processes   map[int]*process
	kills       int
	keeper      *keeper
	now         time.Duration
}

// layouts are the ways in which machines mount cgroups.
func layouts(dir string) map[string][]hierarchy {
	v1 := hierarchy{point: dir + "/memory"}
	freezer := hierarchy{point: dir + "/freezer", freezer: true}
	v2 := hierarchy{point: dir + "/unified", v2: true}
	return map[string][]hierarchy{"v1": {v1, freezer}, "hybrid": {v1, freezer, v2}, "v2": {v2}, "without a freezer": {v1}}
}

// inEach runs a test with every layout.
func inEach(t *testing.T, test func(k *kernel)) {
	for name := range layouts("") {
		t.Run(name, func(t *testing.T) { test(newKernel(t, name)) })
	}
}

func newKernel(t *testing.T, layout string) *kernel {
	dir := t.TempDir()
	k := &kernel{T: t, hierarchies: layouts(dir)[layout], processes: map[int]*process{}, now: time.Hour}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	state := filepath.Join(dir, "state")
	k.keeper = &keeper{
		find:     func() ([]hierarchy, error) { return k.hierarchies, nil },
		kill:     k.kill,
		file:     stateFile{dir: state, bootID: "this-boot"},
		watchdog: newWatchdog(""),
		log:      &logger{fd: int(null.Fd())},
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{stop, stop + "/pod", stop + "/pod/c1", stop + "/pod/c2"} {
		for _, h := range k.hierarchies {
			if err := os.MkdirAll(h.point+group, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	k.settle()
	return k
}

func (k *kernel) kill(pid int) error {
	p := k.processes[pid]
	if p == nil {
		return syscall.ESRCH
	}
	k.kills++
	p.killed = true
	return nil
}

// settle is what a kernel does between two steps: who may run does, who was killed and is awake dies, and files show it.
func (k *kernel) settle() {
	k.Helper()
	for _, h := range k.hierarchies {
		top := h.point + stop
		if h.v2 && k.text(top+"/cgroup.kill") == "1" {
			for _, p := range k.processes {
				p.killed = true
			}
		}
	}
	for pid, p := range k.processes {
		asleep, v1 := k.frozen(p)
		p.ran = p.ran || !asleep && !p.killed
		if p.killed && !p.immortal && (!asleep || !v1) {
			delete(k.processes, pid)
		}
	}
	for _, h := range k.hierarchies {
		frozen := k.topFrozen(h)
		for _, group := range []string{stop, stop + "/pod", stop + "/pod/c1", stop + "/pod/c2"} {
			dir := h.point + group
			var procs strings.Builder
			for pid, p := range k.processes {
				if p.group == group && (p.only == "" || p.only == filepath.Base(h.point)) {
					procs.WriteString(strconv.Itoa(pid) + "\n")
				}
			}
			k.put(dir+"/cgroup.procs", procs.String())
			switch {
			case h.v2:
				k.put(dir+"/cgroup.events", map[bool]string{true: "populated 1\nfrozen 1\n", false: "populated 1\nfrozen 0\n"}[frozen])
				k.put(dir+"/cgroup.kill", "")
				if group == stop && k.text(dir+"/cgroup.freeze") == "" {
					k.put(dir+"/cgroup.freeze", "0")
				}
			case h.freezer:
				k.put(dir+"/freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[frozen])
			}
		}
	}
}

func (k *kernel) topFrozen(h hierarchy) bool {
	return h.v2 && strings.HasPrefix(k.text(h.point+stop+"/cgroup.freeze"), "1") || h.freezer && strings.HasPrefix(k.text(h.point+stop+"/freezer.state"), "FROZEN")
}

// frozen says whether a process is, and whether by version 1, in which the killed don't wake up.
func (k *kernel) frozen(p *process) (asleep, v1 bool) {
	for _, h := range k.hierarchies {
		if (p.only == "" || p.only == filepath.Base(h.point)) && k.topFrozen(h) {
			asleep, v1 = true, v1 || h.freezer
		}
	}
	return asleep, v1
}

func (k *kernel) canFreeze() bool {
	return newEnding(stop, k.hierarchies, nil, 0).canFreeze()
}

func (k *kernel) text(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func (k *kernel) put(path, text string) {
	k.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		k.Fatal(err)
	}
}

// run lets time pass, from one step to the next.
func (k *kernel) run(d time.Duration) {
	k.Helper()
	until := k.now + d
	for steps := 0; ; steps++ {
		next := k.keeper.Step(k.now)
		k.settle()
		if next > until {
			k.now = until
			return
		}
		if steps > 100_000 {
			k.Fatal("the time does not pass")
		}
		k.now = max(next, k.now+time.Microsecond)
	}
}

func (k *kernel) ask(verb string, deadline time.Duration) wire.Answer {
	k.Helper()
	a := k.keeper.answer(wire.Request{Verb: verb, Group: stop, Deadline: deadline}, k.now)
	k.settle()
	return a
}

func (k *kernel) arm(deadline time.Duration) {
	k.Helper()
	if a := k.ask(wire.Arm, deadline); a.Code != wire.OK {
		k.Fatalf("arm: %+v", a)
	}
}

func (k *kernel) state() wire.State {
	k.Helper()
	return k.ask(wire.Ask, 0).State
}

// restart is a guard that was killed and started again.
func (k *kernel) restart() {
	k.Helper()
	old := k.keeper
	k.keeper = &keeper{find: old.find, kill: old.kill, file: old.file, watchdog: old.watchdog, log: old.log}
	if err := k.keeper.load(); err != nil {
		k.Fatal(err)
	}
}
