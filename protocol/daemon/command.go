package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Version is the version of this build; the linker sets it (-X …/daemon.Version=v1.2.3).
var Version = "dev"

// Exit codes.
const (
	exitClean   = 0
	exitFailure = 1
	exitUsage   = 2
)

// Command is one daemon, as its main.go describes it.
type Command struct {
	Name    string // of the program
	Summary string // what it does, for --help
	Metrics string // default of --metrics-listen

	// Define declares the settings besides --metrics-listen, --config, --version and --help.
	Define func(*Flags)
	// Check looks for settings that contradict each other; its error, one line, ends the program with 2.
	Check func(*Flags) error
	// Open, which may be nil, takes what only one process can have, the data directory before any port: so a second one
	// says that it is a second one. Only then --metrics-listen is opened. It may wait for something, until ctx ends.
	Open func(ctx context.Context, d *Daemon) error
	// Run does the work until ctx ends. A nil error is a clean end.
	Run func(ctx context.Context, d *Daemon) error
	// Errands are what else the program does, when its first argument names one.
	Errands []Errand
}

// Errand is something that a program does at once, with the same settings, instead of its work.
type Errand struct {
	Name    string // the first argument
	Summary string // what it does, for --help
	// Run does it, and prints what a person should read. An error ends the program with 1.
	Run func(ctx context.Context, stdout io.Writer) error
}

// Settings are all that the command may be given, in the order of --help.
func (c Command) Settings() []Flag {
	flags, _, _ := c.define()
	return flags.flags
}

// define declares the settings; the last two are what the command itself is told.
func (c Command) define() (flags *Flags, metrics, config *string) {
	flags, metrics, config = &Flags{}, new(string), new(string)
	c.Define(flags)
	flags.String(metrics, CheckAddress, Flag{Name: "metrics-listen", Arg: "ADDR", Default: c.Metrics,
		Usage: `address of /healthz, /readyz and /metrics, plain HTTP; "" turns it off`})
	flags.String(config, nil, Flag{Name: "config", Arg: "FILE",
		Usage: "YAML file with the same settings, without the dashes; flags win"})
	return flags, metrics, config
}

// errand takes the errand's name off the arguments; nil: it is the usual work.
func (c Command) errand(args []string) (*Errand, []string) {
	for i := range c.Errands {
		if len(args) > 0 && args[0] == c.Errands[i].Name {
			return &c.Errands[i], args[1:]
		}
	}
	return nil, args
}

// Daemon is what the running program gets.
type Daemon struct {
	Name     string
	Log      zerolog.Logger
	Health   *Health
	Registry *prometheus.Registry // what /metrics shows
	Stdout   io.Writer            // for what a person should read, once

	notify func(state string)
	settle sync.Once
	// release gives back the memory that only the start has needed; nil: the process is not this daemon's alone.
	release func() error
}

// New is a Daemon that logs to log and is known to no systemd. It may share the process with others, as many nodes of a
// simulated fleet do: what the process has belongs to none of them.
func New(name string, log zerolog.Logger, stdout io.Writer) *Daemon {
	return &Daemon{Name: name, Log: log, Health: &Health{}, Registry: NewRegistry(name), Stdout: stdout, notify: func(string) {}}
}

// Ready tells systemd that the program does its work. It may be repeated.
func (d *Daemon) Ready() {
	d.notify("READY=1")
	d.settle.Do(func() {
		if d.release == nil {
			return
		}
		time.AfterFunc(settled, func() {
			if err := d.release(); err != nil {
				d.Log.Debug().Err(err).Msg("the memory that the start has needed is not given back")
			}
		})
	})
}

// usageError makes the exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error as one of flags or configuration that only Run could find: exit code 2.
func Usage(err error) error { return usageError{err} }

// Main runs the command and returns the exit code.
func (c Command) Main(args []string, stdout, stderr io.Writer) int {
	flags, metrics, _ := c.define()
	errand, args := c.errand(args)
	for _, arg := range args {
		switch arg {
		case "--help", "-h":
			fmt.Fprintf(stdout, "%s %s\n\nUsage: %s [--flag value …]\n\n", c.Name, c.Summary, c.Name)
			flags.help(stdout)
			fmt.Fprintf(stdout, "  --version\n  --help\n")
			for _, e := range c.Errands {
				fmt.Fprintf(stdout, "\n%s %s [--flag value …]\n  %s\n", c.Name, e.Name, e.Summary)
			}
			return exitClean
		case "--version":
			fmt.Fprintf(stdout, "%s %s (%s %s/%s)\n", c.Name, Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return exitClean
		}
	}
	err := flags.parse(args)
	if err == nil && c.Check != nil {
		err = c.Check(flags)
	}
	if err != nil {
		PrintError(stderr, err)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	signal.Ignore(syscall.SIGPIPE)

	if errand != nil {
		err = errand.Run(ctx, stdout)
	} else {
		err = c.run(ctx, *metrics, stdout, stderr)
	}
	if err != nil {
		PrintError(stderr, err)
		if errors.As(err, new(usageError)) {
			return exitUsage
		}
		return exitFailure
	}
	return exitClean
}

func (c Command) run(ctx context.Context, metrics string, stdout, stderr io.Writer) error {
	d := New(c.Name, NewLogger(stderr), stdout)
	d.release = releaseCode
	if err := keepMemorySecret(); err != nil {
		d.Log.Warn().Err(err).Msg("the program's memory is not kept out of core files")
	}
	stopNotify := d.startNotify()
	defer stopNotify()
	if c.Open != nil {
		if err := c.Open(ctx, d); err != nil {
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
	}
	if metrics != "" {
		_, stopServing, err := d.serveHealth(metrics)
		if err != nil {
			return err
		}
		defer stopServing()
	}
	err := c.Run(ctx, d)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// PrintError prints one line that begins with "error: ".
func PrintError(w io.Writer, err error) {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	fmt.Fprintln(w, "error: "+text)
}
