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
