package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/images"
	"github.com/skerry-edge/skerry/test/lab"
)

// oldKubectl is a kubectl that speaks SPDY only, such as Debian's 1.20: from the environment, or the one that the
// Makefile fetches.
var oldKubectl = findOldKubectl()

func findOldKubectl() string {
	if path := os.Getenv("SKERRY_OLD_KUBECTL"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.build/kubernetes-client/usr/bin/kubectl")
	if err != nil {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// shell starts a pod of busybox that sleeps.
func (f *fleet) shell(name string) {
	f.Helper()
	f.kubectl("run", name, "--image="+images.Busybox, "--command", "--", "sleep", "100000")
	f.untilRunning(name)
}

// command is kubectl, edgectl's or the old one, with an input.
func (f *fleet) command(old bool, input io.Reader, args ...string) *exec.Cmd {
	cmd := f.master.KubectlCommand(args...)
	if old {
		for i, arg := range cmd.Args {
			if filepath.Base(arg) == "edgectl" {
				cmd.Args[i] = oldKubectl
			}
		}
	}
	cmd.Stdin = input
	return cmd
}

// clients runs a test with each client at hand.
func clients(t *testing.T, test func(t *testing.T, old bool)) {
	t.Run("websocket", func(t *testing.T) { test(t, false) })
	t.Run("spdy", func(t *testing.T) {
		if oldKubectl == "" {
			t.Skip("NOT TESTED with SPDY: no kubectl 1.20; run build/need-old-kubectl, or name one with SKERRY_OLD_KUBECTL")
		}
		test(t, true)
	})
}

// What a user does with exec, cp and attach.
func TestExec(t *testing.T) {
	f := newFleet(t, 1)
	f.shell("box")
	run := func(t *testing.T, old bool, input io.Reader, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		cmd := f.command(old, input, args...)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	clients(t, func(t *testing.T, old bool) {
		t.Run("output and exit code", func(t *testing.T) {
			out, errs, code := run(t, old, nil, "exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
			if out != "out\n" || !strings.HasPrefix(errs, "err\n") || code != 7 {
				t.Errorf("printed %q and %q and exited with %d", out, errs, code)
			}
		})
		t.Run("100 MB of stdin", func(t *testing.T) {
			const size = 100 << 20
			sum := sha256.New()
			in := io.TeeReader(io.LimitReader(rand.New(rand.NewSource(7)), size), sum)
			began := time.Now()
			out, errs, code := run(t, old, in, "exec", "-i", "box", "--", "sha256sum")
			if want := fmt.Sprintf("%x", sum.Sum(nil)); code != 0 || !strings.HasPrefix(out, want) {
				t.Errorf("exited with %d and printed %q, %q; want %s", code, out, errs, want)
			}
			t.Logf("100 MB in %s", time.Since(began))
		})
		t.Run("much output", func(t *testing.T) {
			out, errs, code := run(t, old, nil, "exec", "box", "--", "dd", "if=/dev/zero", "bs=1M", "count=20")
			if code != 0 || len(out) != 20<<20 {
				t.Errorf("exited with %d after %d bytes: %s", code, len(out), errs)
			}
		})
		t.Run("copy there and back", func(t *testing.T) {
			dir := t.TempDir()
			data := make([]byte, 3<<20)
			rand.New(rand.NewSource(9)).Read(data)
			there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
			if err := os.WriteFile(there, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, errs, code := run(t, old, nil, "cp", there, "box:/tmp/file"); code != 0 {
				t.Fatal(errs)
			}
			if _, errs, code := run(t, old, nil, "cp", "box:/tmp/file", back); code != 0 {
				t.Fatal(errs)
			}
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
		})
		t.Run("wrong input", func(t *testing.T) {
			for _, test := range []struct {
				args []string
				want string
			}{
				{[]string{"exec", "nobody", "--", "ls"}, `pods "nobody" not found`},
				{[]string{"exec", "box", "-c", "other", "--", "ls"}, "container other is not valid for pod box"},
				{[]string{"exec", "box", "--", "nosuch"}, `exec: "nosuch": executable file not found`},
			} {
				if out, errs, code := run(t, old, nil, test.args...); code == 0 || !strings.Contains(errs, test.want) {
					t.Errorf("%v: exited with %d and said %q, %q; want %q", test.args, code, out, errs, test.want)
				}
			}
		})
		t.Run("a user who leaves takes the command along", func(t *testing.T) {
			mark := map[bool]string{false: "4711", true: "4712"}[old]
			cmd := f.command(old, nil, "exec", "box", "--", "sh", "-c", "echo begun; trap '' HUP; sleep "+mark+"; sleep "+mark)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			f.until("the command has ended", func() (bool, string) {
				list, err := f.master.Kubectl("exec", "box", "--", "ps")
				return err == nil && !strings.Contains(list, "sleep "+mark), list
			})
		})
	})
}

// A terminal has the size of the user's.
func TestExecTerminal(t *testing.T) {
	f := newFleet(t, 1)
	f.shell("box")
	clients(t, func(t *testing.T, old bool) {
		inner := f.command(old, nil, "exec", "-it", "box", "--", "sh", "-c", "sleep 1; stty size; exit 5").Args
		for i := range inner {
			inner[i] = "'" + strings.ReplaceAll(inner[i], "'", `'\''`) + "'"
		}
		cmd := exec.Command("script", "-qec", "stty rows 31 cols 97; "+strings.Join(inner, " "), "/dev/null")
		cmd.Env = append(os.Environ(), "HOME="+f.lab.Dir)
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), "31 97") || cmd.ProcessState.ExitCode() != 5 {
			t.Errorf("exited with %d and printed %q; want 31 97", cmd.ProcessState.ExitCode(), out)
		}
	})
}

// A session with a node that disappears ends with words, within the node-timeout and a little.
func TestExecOnALostNode(t *testing.T) {
	f := newFleet(t, 1, quick...)
	f.shell("box")
	cmd := f.command(false, nil, "exec", "box", "--", "sh", "-c", "echo begun; sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	if err := f.nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(errs.String(), "node-1 does not answer") {
			t.Errorf("ended with %v and said %q", err, errs.String())
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Error("the session did not end")
	}
}

// A port of a pod answers on a port of the user's machine; one that nobody listens on is told in words.
func TestPortForward(t *testing.T) {
	f := newFleet(t, 1)
	f.run("web", "serve", ":8080")
	clients(t, func(t *testing.T, old bool) {
		cmd := f.command(old, nil, "port-forward", "pod/web", "18080:8080", "18081:8081")
		var errs lockedBuffer
		cmd.Stdout, cmd.Stderr = &errs, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		get := func(port int) (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			script := append(cmd.Args[:2:2], "curl", "-sS", "--max-time", "8", fmt.Sprintf("http://127.0.0.1:%d/path", port))
			out, err := exec.CommandContext(ctx, script[0], script[1:]...).CombinedOutput()
			return string(out), err
		}
		want := "hello from web: /path\n"
		if _, err := lab.Until("the port answers", patience, func() (bool, string) {
			got, err := get(18080)
			return err == nil && got == want, fmt.Sprint(got, err, errs.String())
		}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got, err := get(18080); got != want || err != nil {
				t.Fatalf("got %q, %v: %s", got, err, errs.String())
			}
		}
		_, _ = get(18081)
		if _, err := lab.Until("the refusal is told", patience, func() (bool, string) {
			text := errs.String()
			return strings.Contains(text, "connection refused"), text
		}); err != nil {
			t.Error(err)
		}
	})
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
