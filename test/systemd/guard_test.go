package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// guardGroup arms the guard as the agent does, through the socket that came with the agent's unit.
func guardGroup(m *machine) {
	const group = "/skerry-unit-test/stop"
	client := guard.New(guard.Config{Socket: fmt.Sprintf("/proc/%d/root%s", m.pid, guard.Socket), Group: group})
	arm := func(d time.Duration) {
		m.Helper()
		if err := client.Arm(m.Context(), daemon.Clock().Boot+d); err != nil {
			m.Fatal(err)
		}
	}
	if state, err := client.State(m.Context()); err != nil || state.Armed {
		m.Fatalf("%+v, %v", state, err)
	}
	m.untilPrints("inactive", "systemctl", "show", "--value", "--property=ActiveState", guarding) // it had nothing to do

	arm(time.Hour)
	status := m.run("cat", "/proc/"+m.property(guarding, "MainPID")+"/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000004020"} {
		if !strings.Contains(status, want) {
			m.Errorf("%q is missing from\n%s", want, status)
		}
	}
	if strings.Contains(status, "VmLck:\t       0 kB") {
		m.Error("its memory is not locked")
	}
	victim := m.command("sh", "-c", `for d in $(find /sys/fs/cgroup -path "*`+group+`" -type d); do echo $$ >$d/cgroup.procs; done; exec sleep 4321`)
	if err := victim.Start(); err != nil {
		m.Fatal(err)
	}
	m.until("the process runs", func() (bool, string) {
		out, err := m.try("", "pgrep", "-f", "^sleep 4321")
		return err == nil, out
	})

	// The agent's restart is none of the guard's; its own is quick, and loses nothing.
	before := m.property(guarding, "MainPID")
	m.run("systemctl", "restart", agent)
	if after := m.property(guarding, "MainPID"); after != before {
		m.Errorf("the guard was process %s and is %s", before, after)
	}
	m.run("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", guarding)
	m.untilPrints("1 active", "sh", "-c", "echo $(systemctl show --value --property=NRestarts,ActiveState "+guarding+")")
	if state, err := client.State(m.Context()); err != nil || !state.Armed {
		m.Errorf("%+v, %v", state, err)
	}
	arm(2 * time.Second)
	_ = victim.Wait() // killed
	m.until("everything was ended", func() (bool, string) {
		state, err := client.State(m.Context())
		return err == nil && state.Fired, fmt.Sprintf("%+v %v", state, err)
	})
	if out, err := m.try("", "pgrep", "-f", "^sleep 4321"); err == nil {
		m.Errorf("the process lives: %s", out)
	}
	arm(time.Hour)
	if err := client.Disarm(m.Context()); err != nil {
		m.Error(err)
	}
	m.untilPrints("inactive", "systemctl", "show", "--value", "--property=ActiveState", guarding)
}
