package e2e

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// A node has a limit of sessions. Who comes then is told so, and once some end there is room again.
func TestTooManySessions(t *testing.T) {
	f := newFleet(t, 1)
	f.shell("box")
	f.run("web", "serve", ":8080")
	forward := f.forward("pod/web", "18080:8080")
	// Each connection to a forwarded port is a session.
	hold := exec.Command(forward.Args[0], forward.Args[1], "bash", "-c",
		"for i in {1..64}; do exec {fd}<>/dev/tcp/127.0.0.1/18080 || exit 1; done; echo open; read")
	in, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the connections are not open: %q, %v", line, err)
	}
	f.until("another session is refused in words", func() (bool, string) {
		out, err := f.master.Kubectl("exec", "box", "--", "echo", "hello")
		return err != nil && strings.Contains(err.Error(), "node-1 has 64 streams open, which is the most; close one first"), seen(out, err)
	})
	// What is no session is not held up.
	f.waitReady(1)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = hold.Wait() // read has met the end of its input
	f.untilPrints("hello", "exec", "box", "--", "echo", "hello")
}

// A user whose terminal takes no more holds up neither the sessions of others nor the node, and costs no memory.
func TestStalledClient(t *testing.T) {
	f := newFleet(t, 1, quick...)
	f.shell("box")
	const much = 48 << 20
	anonymous := func(p *lab.Process) int64 {
		t.Helper()
		_, bytes, err := p.Memory()
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	master, agent := anonymous(f.master.Process), anonymous(f.nodes[0].Process)

	stalled := f.command(false, nil, "exec", "box", "--", "yes", "stalled")
	out, err := stalled.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stalled.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stalled.Process.Kill(); stalled.Wait() }()
	if _, err := io.ReadFull(out, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := f.kubectl("exec", "box", "--", "dd", "if=/dev/zero", "bs=1M", "count=10"); len(got) != 10<<20 {
			t.Errorf("another session got %d bytes of 10 MB", len(got))
		}
	}
	f.run("chatty", "lines", "3")
	f.until("logs can be read", func() (bool, string) {
		out, err := f.master.Kubectl("logs", "chatty")
		return err == nil && strings.Count(out, "\n") >= 3, seen(out, err)
	})
	f.waitReady(1)
	if events := f.kubectl("get", "events"); strings.Contains(events, "NodeNotReady") {
		t.Errorf("the node was given up:\n%s", events)
	}
	if grown := anonymous(f.master.Process) - master; grown > much {
		t.Errorf("the master has grown by %d MB", grown>>20)
	}
	if grown := anonymous(f.nodes[0].Process) - agent; grown > much {
		t.Errorf("the agent has grown by %d MB", grown>>20)
	}
	if list := f.kubectl("exec", "box", "--", "ps"); !strings.Contains(list, "yes stalled") {
		t.Errorf("the command whose output nobody reads has ended:\n%s", list)
	}
	if err := stalled.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	f.until("the command ends with its user", func() (bool, string) {
		list, err := f.master.Kubectl("exec", "box", "--", "ps")
		return err == nil && !strings.Contains(list, "yes stalled"), seen(list, err)
	})
}

// A port of a pod in the node's own network can be forwarded like any other.
func TestPortForwardToHostNetwork(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(strings.Replace(server("own", "node-1", ""), "spec: {", "spec: {hostNetwork: true, ", 1))
	f.untilRunning("own")
	forward := f.forward("pod/own", "18080:8080")
	get := exec.Command(forward.Args[0], forward.Args[1], "curl", "-sS", "--max-time", "30", "http://127.0.0.1:18080/path")
	if got, err := get.CombinedOutput(); err != nil || !strings.Contains(string(got), "/path") || !strings.Contains(string(got), "node-1") {
		t.Errorf("got %q, %v", got, err)
	}
}

// forward runs port-forward until the test ends, and returns it when it listens.
func (f *fleet) forward(args ...string) *exec.Cmd {
	f.Helper()
	cmd := f.command(false, nil, append([]string{"port-forward"}, args...)...)
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	f.until("port-forward listens", func() (bool, string) {
		text := said.String()
		return strings.Contains(text, "Forwarding from 127.0.0.1"), text
	})
	return cmd
}
