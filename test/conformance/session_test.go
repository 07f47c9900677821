package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/images"
	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a condition may take on a busy machine. It is no expectation of speed.
const patience = 60 * time.Second

// session is one client in front of a fleet of two nodes.
type session struct {
	*testing.T
	client string
	old    bool // 1.20
	master *lab.Master
}

// Each client has a fleet of its own, and the same session.
func TestSessions(t *testing.T) {
	binaries := os.Getenv("SKERRY_BIN")
	if binaries == "" {
		binaries = "../../bin"
	}
	binaries, err := filepath.Abs(binaries)
	if err != nil {
		t.Fatal(err)
	}
	old, err := filepath.Abs("../../.build/kubernetes-client/usr/bin/kubectl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	containerd, err := hostenv.New(filepath.Join(dir, "containerd"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { containerd.Close() })
	archives := filepath.Join(dir, "images")
	if _, err := images.WriteAll(archives, []v1.Platform{images.Host()}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		old        bool
	}{{"edgectl", filepath.Join(binaries, "edgectl"), false}, {"kubectl-1.20", old, true}} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(c.path); err != nil {
				t.Fatalf("%v: run make build and build/need-old-kubectl first", err)
			}
			s := &session{T: t, client: c.path, old: c.old}
			s.start(binaries, containerd.Socket, archives)
			for _, act := range acts {
				act(s)
			}
		})
	}
}

// start makes the fleet.
func (s *session) start(binaries, socket, archives string) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		s.Fatal(err)
	}
	l, err := lab.New(lab.Config{Bin: binaries, Dir: dir, Containerd: socket})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.Errorf("close the lab: %v", err)
		}
		os.RemoveAll(dir)
	})
	host := func(name string) *lab.Host {
		h, err := l.AddHost(name)
		if err != nil {
			s.Fatal(err)
		}
		return h
	}
	if s.master, err = l.StartMaster(host("master"), "--heartbeat-interval=1s", "--node-timeout=10s"); err != nil {
		s.Fatal(err)
	}
	token, err := s.master.JoinToken(patience)
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range []string{"node-1", "node-2"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, name, "images"), os.DirFS(archives)); err != nil {
			s.Fatal(err)
		}
		agent, err := l.StartAgent(host(name), token)
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = agent.EndContainers() })
	}
	s.until("True True", "get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
}

// run runs the client to its end.
func (s *session) run(input string, args ...string) (out string, err error) {
	cmd := s.master.ClientCommand(s.client, args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	// An editor that changes one word, and a diff that is always there.
	cmd.Env = append(cmd.Env, "KUBE_EDITOR=sed -i s/blue/green/", "KUBECTL_EXTERNAL_DIFF=diff -u -N")
	if err := cmd.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	err = cmd.Wait()
	return stdout.String() + stderr.String(), err
}

// says runs a command that must go through and say all of wants.
func (s *session) says(args []string, wants ...string) string {
	s.Helper()
	return s.saysTo("", args, wants...)
}

// saysTo is says with an input.
func (s *session) saysTo(input string, args []string, wants ...string) string {
	s.Helper()
	out, err := s.run(input, args...)
	if err != nil {
		s.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			s.Errorf("%s: %q is missing from:\n%s", strings.Join(args, " "), want, out)
		}
	}
	return out
}

// prints runs a command that must go through and print exactly want.
func (s *session) prints(want string, args ...string) {
	s.Helper()
	out, err := s.run("", args...)
	if err != nil || out != want {
		s.Errorf("%s: %v:\n%s\nnot:\n%s", strings.Join(args, " "), err, out, want)
	}
}

// goesThrough waits until a command goes through.
func (s *session) goesThrough(args ...string) {
	s.Helper()
	_, err := lab.Until(strings.Join(args, " ")+" goes through", patience, func() (bool, string) {
		out, err := s.run("", args...)
		return err == nil, out
	})
	if err != nil {
		s.Fatal(err)
	}
}

// refuses runs a command that must fail and say all of wants.
func (s *session) refuses(args []string, wants ...string) {
	s.Helper()
	s.refusesTo("", args, wants...)
}

func (s *session) refusesTo(input string, args []string, wants ...string) {
	s.Helper()
	out, err := s.run(input, args...)
	if _, ended := err.(*exec.ExitError); !ended {
		s.Errorf("%s went through (%v): %s", strings.Join(args, " "), err, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			s.Errorf("%s: %q is missing from:\n%s", strings.Join(args, " "), want, out)
		}
	}
}

// until waits until a command prints exactly want.
func (s *session) until(want string, args ...string) {
	s.Helper()
	_, err := lab.Until(fmt.Sprintf("%s prints %q", strings.Join(args, " "), want), patience, func() (bool, string) {
		out, err := s.run("", args...)
		return err == nil && strings.TrimSpace(out) == want, out
	})
	if err != nil {
		s.Fatal(err)
	}
}

// watches runs a command that goes on until each of wants has been seen.
func (s *session) watches(begun func(), args []string, wants ...string) {
	s.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var seen synced
	cmd := s.master.ClientCommand(s.client, args...)
	cmd.Stdout = &seen
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	begun()
	for _, want := range wants {
		_, err := lab.Until(want+" is seen", patience, func() (bool, string) {
			return ctx.Err() != nil || strings.Contains(seen.String(), want), seen.String()
		})
		if err != nil || ctx.Err() != nil {
			s.Errorf("%s: %v: %s", strings.Join(args, " "), err, seen.String())
			return
		}
	}
}

// follows runs a command until it has printed want, then does what makes it end by itself.
func (s *session) follows(args []string, want string, then func()) {
	s.Helper()
	var seen synced
	cmd := s.master.ClientCommand(s.client, args...)
	cmd.Stdout, cmd.Stderr = &seen, &seen
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	if _, err := lab.Until(want+" is seen", patience, func() (bool, string) {
		return strings.Contains(seen.String(), want), seen.String()
	}); err != nil {
		s.Errorf("%s: %v", strings.Join(args, " "), err)
		return
	}
	then()
	select {
	case <-ended:
	case <-time.After(patience):
		s.Errorf("%s goes on after its end:\n%s", strings.Join(args, " "), seen.String())
	}
}

// words makes the arguments of a command line without quotes.
func words(line string) []string { return strings.Fields(line) }
