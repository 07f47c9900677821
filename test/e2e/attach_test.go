package e2e

import (
	"bufio"
	"strings"
	"testing"
)

// Who attaches sees what the container prints from then on.
func TestAttach(t *testing.T) {
	f := newFleet(t, 1)
	f.run("talks", "lines", "0", "100ms")
	clients(t, func(t *testing.T, old bool) {
		cmd := f.command(old, nil, "attach", "talks")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "line ") {
			t.Errorf("got %q, %v", line, err)
		}
	})
}
