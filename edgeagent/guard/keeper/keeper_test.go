package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

// At the deadline everything ends, in groups within groups too; before it nothing is touched.
func TestDeadline(t *testing.T) {
	inEach(t, func(k *kernel) {
		deadline := k.now + 10*time.Second
		k.arm(deadline)
		k.processes[10] = &process{group: stop + "/pod/c1"}
		k.processes[11] = &process{group: stop + "/pod/c2"}
		k.processes[12] = &process{group: stop}
		k.settle()
		k.run(10*time.Second - 1)
		if len(k.processes) != 3 || k.kills > 0 {
			t.Errorf("before the deadline %d of 3 processes are left", len(k.processes))
		}
		k.run(time.Second)
		if len(k.processes) > 0 {
			t.Errorf("a second after it there are %d", len(k.processes))
		}
		want := wire.State{Armed: true, Deadline: deadline, Fired: true}
		if diff := cmp.Diff(want, k.state()); diff != "" {
			t.Error(diff)
		}
	})
}

// What comes after the deadline does not run, and is killed.
func TestLatecomers(t *testing.T) {
	inEach(t, func(k *kernel) {
		k.arm(k.now + time.Second)
		k.run(2 * time.Second)
		for pid := 20; pid < 25; pid++ {
			late := &process{group: stop + "/pod/c1"}
			k.processes[pid] = late
			k.run(time.Second)
			if len(k.processes) > 0 {
				t.Errorf("%d is left", pid)
			}
			if late.ran && k.canFreeze() {
				t.Errorf("%d ran", pid)
			}
		}
		if s := k.state(); !s.Fired || len(s.Stuck) > 0 {
			t.Errorf("the state is %+v", s)
		}
	})
}

// What is neither dead nor frozen after 2 s is named, and restarts the board.
func TestStuck(t *testing.T) {
	k := newKernel(t, "v1")
	device := t.TempDir() + "/watchdog"
	k.put(device, "")
	k.keeper.watchdog = newWatchdog(device)
	k.arm(k.now + time.Second)
	k.processes[30] = &process{group: stop + "/pod/c1", only: "memory", immortal: true}
	k.processes[31] = &process{group: stop + "/pod/c1"}
	k.settle()
	k.run(time.Second + grace - 10*time.Millisecond)
	if s := k.state(); len(s.Stuck) > 0 || s.Rebooting || s.Fired || !s.Watchdog {
		t.Errorf("within the 2 s the state is %+v", s)
	}
	k.run(time.Second)
	s := k.state()
	if !slices.Equal(s.Stuck, []int{30}) || !s.Rebooting || s.Fired {
		t.Errorf("after it the state is %+v", s)
	}
	if text := k.text(device); text != "" {
		t.Errorf("the watchdog was petted with %q", text)
	}
	if a := k.ask(wire.Arm, k.now+time.Minute); a.Code != wire.Refused || !strings.Contains(a.Why, "restarted") {
		t.Errorf("while the board is being restarted, arming says %+v", a)
	}
	k.processes[30].immortal = false
	k.run(3 * time.Second)
	if s := k.state(); len(s.Stuck) > 0 || !s.Fired || len(k.processes) > 0 {
		t.Errorf("in the end the state is %+v, with %d processes", s, len(k.processes))
	}
}

// A board without a watchdog, or with a guard that may not use it, goes on.
func TestStuckWithoutWatchdog(t *testing.T) {
	for _, path := range []string{"", t.TempDir() + "/none"} {
		k := newKernel(t, "v1")
		k.keeper.watchdog = newWatchdog(path)
		k.arm(k.now + time.Second)
		k.processes[30] = &process{group: stop, only: "memory", immortal: true}
		k.run(5 * time.Second)
		if s := k.state(); !slices.Equal(s.Stuck, []int{30}) || s.Rebooting || s.Watchdog {
			t.Errorf("with %q the state is %+v", path, s)
		}
		if a := k.ask(wire.Arm, k.now+time.Minute); a.Code != wire.Busy || !strings.Contains(a.Why, "30") {
			t.Errorf("arming says %+v", a)
		}
	}
}

// The last deadline counts, the earlier one too; a new one after the end lets things run again.
func TestArmAgain(t *testing.T) {
	inEach(t, func(k *kernel) {
		start := k.now
		k.arm(start + 10*time.Second)
		k.arm(start + 30*time.Second)
		k.arm(start + 20*time.Second)
		p := &process{group: stop + "/pod/c1"}
		k.processes[10] = p
		k.run(20*time.Second - 1)
		if k.processes[10] == nil {
			t.Fatal("it ended before the last deadline")
		}
		k.run(time.Second)
		if len(k.processes) > 0 {
			t.Fatal("it outlived the last deadline")
		}
		if a := k.ask(wire.Arm, k.now); a.Code != wire.Refused || !strings.Contains(a.Why, "passed") {
			t.Errorf("a deadline that has passed: %+v", a)
		}
		k.arm(k.now + 10*time.Second)
		again := &process{group: stop + "/pod/c1"}
		k.processes[11] = again
		k.run(9 * time.Second)
		if k.processes[11] == nil || !again.ran {
			t.Error("after a new grant nothing runs")
		}
		if s := k.state(); s.Fired {
			t.Errorf("the state is %+v", s)
		}
	})
}

// A group with processes stays armed; one without is left frozen, and its file is gone.
func TestDisarm(t *testing.T) {
	inEach(t, func(k *kernel) {
		if a := k.ask(wire.Disarm, 0); a.Code != wire.OK {
			t.Errorf("one that was never armed: %+v", a)
		}
		k.arm(k.now + time.Hour)
		p := &process{group: stop + "/pod/c1"}
		k.processes[10] = p
		k.settle()
		if a := k.ask(wire.Disarm, 0); a.Code != wire.Busy || !strings.Contains(a.Why, "10") || p.killed {
			t.Errorf("with a process: %+v", a)
		}
		if s := k.state(); !s.Armed {
			t.Error("it is disarmed")
		}
		p.ran = false
		k.settle()
		if !p.ran {
			t.Error("the process stands still")
		}
		delete(k.processes, 10)
		k.settle()
		if a := k.ask(wire.Disarm, 0); a.Code != wire.OK || a.State.Armed {
			t.Errorf("without: %+v", a)
		}
		if _, err := os.Stat(k.keeper.file.path()); !os.IsNotExist(err) {
			t.Errorf("the state file: %v", err)
		}
		late := &process{group: stop}
		k.processes[11] = late
		k.settle()
		if late.ran && k.canFreeze() {
			t.Error("what starts without a guard runs")
		}
		delete(k.processes, 11)
		k.arm(k.now + time.Hour)
		k.processes[12] = &process{group: stop}
		k.settle()
		if !k.processes[12].ran {
			t.Error("what starts with a guard does not run")
		}
	})
}

// A guard that was killed goes on where it was: before the deadline, while it ended things, and long after.
func TestRestart(t *testing.T) {
	inEach(t, func(k *kernel) {
		deadline := k.now + 10*time.Second
		k.arm(deadline)
		k.processes[10] = &process{group: stop + "/pod/c1"}
		k.run(5 * time.Second)
		k.restart()
		if s := k.state(); !s.Armed || s.Deadline != deadline || k.processes[10] == nil {
			t.Fatalf("before the deadline: %+v", s)
		}
		k.run(5 * time.Second)
		k.keeper.Step(k.now) // killed in the middle
		k.restart()
		k.run(time.Second)
		if s := k.state(); !s.Fired || len(k.processes) > 0 {
			t.Errorf("while it ended things: %+v", s)
		}
		k.processes[11] = &process{group: stop + "/pod/c2"}
		k.now += time.Hour
		k.restart()
		k.run(time.Second)
		if s := k.state(); !s.Fired || len(k.processes) > 0 {
			t.Errorf("after the deadline: %+v", s)
		}
	})
}

// A guard that was killed between its file and the thaw is told by the next Arm that nothing was thawed.
func TestRestartBeforeTheThaw(t *testing.T) {
	k := newKernel(t, "v1")
	k.arm(k.now + time.Second)
	k.run(2 * time.Second)
	if err := k.keeper.file.write([]armed{{stop, k.now + time.Minute}}); err != nil {
		t.Fatal(err)
	}
	k.restart()
	k.arm(k.now + time.Minute)
	k.processes[10] = &process{group: stop}
	k.settle()
	if !k.processes[10].ran {
		t.Error("the group is still frozen")
	}
}

// What can't be persisted is refused, and the deadline before stays in force.
func TestStateThatCannotBeWritten(t *testing.T) {
	k := newKernel(t, "hybrid")
	deadline := k.now + time.Second
	k.arm(deadline)
	k.keeper.file.dir += "/none"
	if a := k.ask(wire.Arm, k.now+time.Hour); a.Code != wire.Refused || !strings.Contains(a.Why, "/none/state") {
		t.Errorf("arming says %+v", a)
	}
	if s := k.state(); s.Deadline != deadline {
		t.Errorf("the state is %+v", s)
	}
}

// Two agents on one machine: one group's end is not the other's.
func TestTwoGroups(t *testing.T) {
	k := newKernel(t, "hybrid")
	k.arm(k.now + time.Second)
	other := wire.Request{Verb: wire.Arm, Group: "/skerry-other/stop", Deadline: k.now + time.Hour}
	if a := k.keeper.answer(other, k.now); a.Code != wire.OK {
		t.Fatalf("%+v", a)
	}
	k.processes[10] = &process{group: stop}
	k.run(3 * time.Second)
	if s := k.state(); !s.Fired {
		t.Errorf("the first is %+v", s)
	}
	other.Verb = wire.Ask
	if a := k.keeper.answer(other, k.now); !a.State.Armed || a.State.Fired {
		t.Errorf("the second is %+v", a)
	}
	k.restart()
	if len(k.keeper.groups) != 2 {
		t.Errorf("after a restart %d groups are armed", len(k.keeper.groups))
	}
	for i := range maxGroups {
		other.Verb, other.Group, other.Deadline = wire.Arm, "/skerry-"+strings.Repeat("x", i)+"/stop", k.now+time.Hour
		k.keeper.answer(other, k.now)
	}
	if a := k.keeper.answer(wire.Request{Verb: wire.Arm, Group: "/skerry-one-more/stop", Deadline: k.now + time.Hour}, k.now); a.Code != wire.Refused {
		t.Errorf("one group too many: %+v", a)
	}
}
