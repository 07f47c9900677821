package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

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
	// Run does the work until ctx ends. A nil error is a clean end.
	Run func(ctx context.Context, d *Daemon) error
}

// Daemon is what the running program gets.
type Daemon struct {
	Name     string
	Log      zerolog.Logger
	Health   *Health
	Registry *prometheus.Registry // what /metrics shows
	Stdout   io.Writer            // for what a person should read, once

	notify func(state string)
}

// New is a Daemon that logs to log and is known to no systemd.
func New(name string, log zerolog.Logger, stdout io.Writer) *Daemon {
	return &Daemon{Name: name, Log: log, Health: &Health{}, Registry: NewRegistry(name), Stdout: stdout, notify: func(string) {}}
}

// Ready tells systemd that the program does its work. It may be repeated.
func (d *Daemon) Ready() { d.notify("READY=1") }

// usageError makes the exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error as one of flags or configuration that only Run could find: exit code 2.
func Usage(err error) error { return usageError{err} }

// Main runs the command and returns the exit code.
func (c Command) Main(args []string, stdout, stderr io.Writer) int {
	var flags Flags
	var metrics, configFile string
	c.Define(&flags)
	flags.String(&metrics, CheckAddress, Flag{Name: "metrics-listen", Arg: "ADDR", Default: c.Metrics,
		Usage: `address of /healthz, /readyz and /metrics, plain HTTP; "" turns it off`})
	flags.String(&configFile, nil, Flag{Name: "config", Arg: "FILE",
		Usage: "YAML file with the same settings, without the dashes; flags win"})

	for _, arg := range args {
		switch arg {
		case "--help", "-h":
			fmt.Fprintf(stdout, "%s %s\n\nUsage: %s [--flag value …]\n\n", c.Name, c.Summary, c.Name)
			flags.help(stdout)
			fmt.Fprintf(stdout, "  --version\n  --help\n")
			return exitClean
		case "--version":
			fmt.Fprintf(stdout, "%s %s (%s %s/%s)\n", c.Name, Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return exitClean
		}
	}
	err := flags.parse(args)
	if err == nil && c.Check != nil {
		err = c.Check(&flags)
	}
	if err != nil {
		PrintError(stderr, err)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	signal.Ignore(syscall.SIGPIPE)

	if err := c.run(ctx, metrics, stdout, stderr); err != nil {
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
	stopNotify := d.startNotify()
	defer stopNotify()
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
