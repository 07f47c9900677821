package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Grade says how bad it is.
type Grade string

// The grades.
const (
	OK   Grade = "OK"
	Warn Grade = "WARN"
	Fail Grade = "FAIL"
)

// Finding is what was seen of one thing.
type Finding struct {
	Grade  Grade
	Name   string // of the thing
	Seen   string // what it is like
	Remedy string // what to do; empty when it is OK
}

// Config is what is looked at. The functions are the agent's own ways of finding things out.
type Config struct {
	Root    string // of the file system that /proc and /sys are read from; empty: the machine's
	DataDir string // the agent's; need not exist
	Socket  string // containerd's
	User    int    // that the program runs as

	// Engine is containerd's version. Its error is shown in one line.
	Engine func(context.Context) (version string, err error)
	// LogWriter is where skerry-log is; the error says what to do.
	LogWriter func() (path string, err error)
	// Guard asks skerry-guard; the error says that it does not answer, and what to do.
	Guard func(context.Context) error
	// Network is why pods can't have a network of their own, with what to do; nil: they can. The limit is what
	// networks can't do, likewise; empty: nothing.
	Network func() (limit string, problem error)

	Clock func() ClockState
	Disk  func(dir string) (DiskState, error)
}

// Examine looks at everything.
func Examine(ctx context.Context, c Config) []Finding {
	k := kernel{root: c.Root}
	findings := []Finding{user(c.User), k.cgroups(), k.memory(), k.overlay()}
	findings = append(findings, c.containerd(ctx), c.logWriter(), c.guard(ctx))
	findings = append(findings, c.network(), c.clock(), c.disk())
	return findings
}

// Print prints a line for each finding and a last one. The error says that there are hard failures.
func Print(w io.Writer, findings []Finding) error {
	count := map[Grade]int{}
	for _, f := range findings {
		count[f.Grade]++
		line := fmt.Sprintf("%-4s  %-13s  %s", f.Grade, f.Name, f.Seen)
		if f.Remedy != "" {
			line += " → " + f.Remedy
		}
		if _, err := fmt.Fprintln(w, strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")); err != nil {
			return fmt.Errorf("print the findings: %w", err)
		}
	}
	if n := count[Fail]; n > 0 {
		return fmt.Errorf("this machine can't be a node yet: %d of %d checks failed; do what the lines with FAIL say", n, len(findings))
	}
	return nil
}

func user(id int) Finding {
	if id != 0 {
		return Finding{Fail, "user", fmt.Sprintf("user id %d", id), "the agent must be root: sudo skerry-agent doctor"}
	}
	return Finding{OK, "user", "root", ""}
}

func (c Config) logWriter() Finding {
	path, err := c.LogWriter()
	if err != nil {
		return Finding{Fail, "skerry-log", "not found", err.Error()}
	}
	return Finding{OK, "skerry-log", path, ""}
}

func (c Config) guard(ctx context.Context) Finding {
	if err := c.Guard(ctx); err != nil {
		return Finding{Warn, "skerry-guard", "pods with partition policy stop can't run", err.Error()}
	}
	return Finding{OK, "skerry-guard", "it answers", ""}
}

func (c Config) network() Finding {
	switch limit, problem := c.Network(); {
	case problem != nil:
		return Finding{Warn, "pod network", "only pods with hostNetwork can run", problem.Error()}
	case limit != "":
		return Finding{Warn, "pod network", "limited", limit}
	}
	return Finding{OK, "pod network", "the CNI plugins and iptables are there", ""}
}
