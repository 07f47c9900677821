package install

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// die is set in the environment of the process that shall end in that way.
const die = "SKERRY_TEST_DIE"

func TestMain(m *testing.M) {
	switch os.Getenv(die) {
	case "by panic":
		panic("as asked for")
	case "by abort": // the watchdog does it
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		time.Sleep(time.Minute)
	}
	os.Exit(m.Run())
}

// settings are the values of a setting in a unit.
func settings(t *testing.T, unit, name string) (values []string) {
	t.Helper()
	data, err := os.ReadFile("../../systemd/" + unit)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// An agent that the master refuses, or that has wrong settings, ends with 2 and is not started again every few seconds.
// One that panics or hangs is, and a program of Go ends with 2 then, too, unless the unit sees to it.
func TestARefusedAgentIsNotRestarted(t *testing.T) {
	const unit = "skerry-agent.service"
	if restart, prevented := settings(t, unit, "Restart"), settings(t, unit, "RestartPreventExitStatus"); !slices.Equal(restart, []string{"always"}) || !slices.Equal(prevented, []string{"2"}) {
		t.Errorf("Restart=%v, RestartPreventExitStatus=%v", restart, prevented)
	}
	for _, how := range []string{"by panic", "by abort"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(append(os.Environ(), die+"="+how), settings(t, unit, "Environment")...)
		cmd.Dir = t.TempDir() // for a core file, should the machine write them there
		var ended *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &ended) {
			t.Fatalf("%s: %v", how, err)
		}
		if status := ended.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGABRT {
			t.Errorf("%s: it ended with %v, exit code %d", how, ended, ended.ExitCode())
		}
	}
}

// The guard outlives the agent: no unit may stop or restart one with the other.
func TestTheGuardIsNotTiedToTheAgent(t *testing.T) {
	for unit, other := range map[string]string{"skerry-guard.service": "skerry-agent", "skerry-guard.socket": "skerry-agent", "skerry-agent.service": "skerry-guard"} {
		for _, name := range []string{"PartOf", "BindsTo", "Requires", "Requisite", "Conflicts", "PropagatesStopTo", "StopPropagatedFrom", "Upholds"} {
			for _, value := range settings(t, unit, name) {
				if strings.Contains(value, other) {
					t.Errorf("%s has %s=%s", unit, name, value)
				}
			}
		}
	}
	// Stopping the socket, as a shutdown does, must not stop the guard either.
	if requires := settings(t, "skerry-guard.service", "Requires"); len(requires) > 0 {
		t.Errorf("Requires=%v", requires)
	}
	for name, want := range map[string]string{"Restart": "always", "RestartPreventExitStatus": "0 2", "OOMScoreAdjust": "-1000", "RuntimeDirectoryPreserve": "yes"} {
		if got := settings(t, "skerry-guard.service", name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s=%v, want %s", name, got, want)
		}
	}
}
