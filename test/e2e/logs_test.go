package e2e

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// Every option of kubectl logs works on a node that nobody can connect to: everything goes over the broker.
func TestLogs(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("run", "done", "--image="+probe, "--restart=Never", "--", "lines", "300")
	f.untilPrints("Succeeded", "get", "pod", "done", "-o", "jsonpath={.status.phase}")
	whole := f.kubectl("logs", "done")
	all := strings.Split(strings.TrimSpace(whole), "\n")
	if len(all) != 300 {
		t.Fatalf("the log has %d lines, want 300:\n%s", len(all), whole)
	}
	if got := f.kubectl("logs", "done", "--tail=7"); got != strings.Join(all[293:], "\n")+"\n" {
		t.Errorf("--tail=7 gave\n%s", got)
	}
	if got := f.kubectl("logs", "done", "--tail=0"); got != "" {
		t.Errorf("--tail=0 gave\n%s", got)
	}
	if got := f.kubectl("logs", "done", "-f"); got != whole {
		t.Errorf("-f of a container that has ended gave %d bytes, want %d", len(got), len(whole))
	}
	if got := f.kubectl("logs", "done", "--since=1h"); got != whole {
		t.Errorf("--since=1h gave %d bytes, want %d", len(got), len(whole))
	}
	if got := f.kubectl("logs", "done", "--since-time="+time.Now().Add(time.Hour).Format(time.RFC3339)); got != "" {
		t.Errorf("--since-time in an hour gave\n%s", got)
	}
	if got := f.kubectl("logs", "done", "--limit-bytes=20"); got != whole[:20] {
		t.Errorf("--limit-bytes=20 gave %q", got)
	}
	stamp, text, _ := strings.Cut(strings.TrimSpace(f.kubectl("logs", "done", "--tail=1", "--timestamps")), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != all[299] {
		t.Errorf("--timestamps gave %q %q", stamp, text)
	}
	if said := f.refused("", "logs", "done", "--previous"); !strings.Contains(said, "previous terminated container") {
		t.Errorf("--previous of a first run: %s", said)
	}
	if said := f.refused("", "logs", "nobody"); !strings.Contains(said, `pods "nobody" not found`) {
		t.Errorf("logs of no pod: %s", said)
	}
}

// --previous shows the run before the last restart.
func TestLogsOfThePreviousRun(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("run", "again", "--image="+probe, "--", "lines", "3")
	f.until("the container was restarted", func() (bool, string) {
		out, err := f.master.Kubectl("get", "pod", "again", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		return out >= "1", seen(out, err)
	})
	if got := f.kubectl("logs", "again", "--previous"); strings.Count(got, "\n") != 3 {
		t.Errorf("--previous gave\n%s", got)
	}
}

// -f shows lines as they come, a reader that doesn't read neither stalls another nor lets memory grow, and a
// node that disappears ends the stream with an error.
func TestFollowLogs(t *testing.T) {
	f := newFleet(t, 1, quick...)
	f.kubectl("run", "flood", "--image="+probe, "--", "lines", "0", "10us")
	f.untilRunning("flood")
	follow := func() (*bufio.Reader, func() error, func()) {
		cmd := f.master.KubectlCommand("logs", "flood", "-f")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() { cmd.Process.Kill(); io.Copy(io.Discard, out); cmd.Wait() }
		t.Cleanup(end)
		return bufio.NewReader(out), cmd.Wait, end
	}
	lazy, _, stopLazy := follow()
	if _, err := lazy.ReadString('\n'); err != nil {
		t.Fatal(err)
	} // and never again
	before, _, err := f.nodes[0].Memory()
	if err != nil {
		t.Fatal(err)
	}
	eager, wait, _ := follow()
	for range 20_000 {
		if _, err := eager.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	after, _, err := f.nodes[0].Memory()
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown > 16<<20 {
		t.Errorf("the agent grew by %d KiB while a reader didn't read", grown>>10)
	}
	stopLazy()

	if err := f.nodes[0].Host.Cut(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, eager)
	if err := wait(); err == nil {
		t.Error("the node disappeared and the log ended as if it were complete")
	}
}
