package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settings is what the command under test was given.
type settings struct {
	Dir      string
	Brokers  []string
	Labels   map[string]string
	Interval time.Duration
	Listen   string
}

func testCommand(got *settings, run func(context.Context, *Daemon) error) Command {
	return Command{
		Name: "skerry-test", Summary: "is tested.",
		Define: func(f *Flags) {
			f.String(&got.Dir, nil, Flag{Name: "data-dir", Arg: "DIR", Default: "/var/lib/x", Usage: "where things are"})
			f.List(&got.Brokers, nil, Flag{Name: "broker", Arg: "URL[,URL…]", Usage: "the brokers"})
			f.Pairs(&got.Labels, func(k, _ string) error {
				if k == "" {
					return errors.New("a label needs a name")
				}
				return nil
			}, Flag{Name: "labels", Arg: "k=v,…", Usage: "labels"})
			f.Duration(&got.Interval, time.Second, Flag{Name: "heartbeat-interval", Arg: "DURATION", Default: "10s", Usage: "how often"})
			f.String(&got.Listen, CheckAddress, Flag{Name: "mqtt-listen", Arg: "ADDR", Default: ":8883", Usage: "where"})
		},
		Check: func(f *Flags) error {
			if f.Given("mqtt-listen") && got.Listen != "" && len(got.Brokers) > 0 {
				return errors.New("--broker and --mqtt-listen exclude each other")
			}
			return nil
		},
		Run: run,
	}
}

// Flags win over the file, the file over defaults, and lists come from either form.
func TestSettingsComeFromFlagsFileAndDefaults(t *testing.T) {
	t.Parallel()
	defaults := settings{Dir: "/var/lib/x", Interval: 10 * time.Second, Listen: ":8883", Labels: map[string]string{}}
	for name, c := range map[string]struct {
		args []string
		yaml string
		want func(*settings)
	}{
		"nothing given":        {want: func(*settings) {}},
		"an empty file":        {yaml: "# nothing\n", want: func(*settings) {}},
		"a flag":               {args: []string{"--data-dir", "/d"}, want: func(s *settings) { s.Dir = "/d" }},
		"a flag with =":        {args: []string{"--data-dir=--odd"}, want: func(s *settings) { s.Dir = "--odd" }},
		"an empty value":       {args: []string{"--mqtt-listen", ""}, want: func(s *settings) { s.Listen = "" }},
		"a repeated list":      {args: []string{"--broker", "a,b", "--broker", "c"}, want: func(s *settings) { s.Brokers = []string{"a", "b", "c"} }},
		"pairs":                {args: []string{"--labels", "a=1,b=x=y"}, want: func(s *settings) { s.Labels = map[string]string{"a": "1", "b": "x=y"} }},
		"the file":             {yaml: "data-dir: /f\nheartbeat-interval: 1s\n", want: func(s *settings) { s.Dir, s.Interval = "/f", time.Second }},
		"a YAML list":          {yaml: "broker: [a, b]\n", want: func(s *settings) { s.Brokers = []string{"a", "b"} }},
		"a comma list in YAML": {yaml: "broker: a,b\n", want: func(s *settings) { s.Brokers = []string{"a", "b"} }},
		"a YAML mapping":       {yaml: "labels:\n  a: 1\n  b: yes\n", want: func(s *settings) { s.Labels = map[string]string{"a": "1", "b": "yes"} }},
		"the flag wins":        {args: []string{"--broker", "z"}, yaml: "broker: [a, b]\ndata-dir: /f\n", want: func(s *settings) { s.Brokers, s.Dir = []string{"z"}, "/f" }},
		"an empty YAML string": {yaml: "mqtt-listen: \"\"\n", want: func(s *settings) { s.Listen = "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(c.args, "--metrics-listen", "")
			if c.yaml != "" {
				args = append(args, "--config", writeTemp(t, c.yaml))
			}
			want := defaults
			c.want(&want)
			var got settings
			var out, errs bytes.Buffer
			ran := false
			code := testCommand(&got, func(context.Context, *Daemon) error { ran = true; return nil }).Main(args, &out, &errs)
			if code != 0 || !ran {
				t.Fatalf("exit code %d, ran %v: %s", code, ran, &errs)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is wrong with flags or file is one line that says where and what is right, and exit code 2.
func TestWrongSettingsAreExplainedInOneLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		yaml string
		want string // FILE stands for the config file
	}{
		"unknown flag":       {args: []string{"--data-dri", "x"}, want: "unknown flag --data-dri; did you mean --data-dir?"},
		"unknown, unlike":    {args: []string{"--frobnicate"}, want: "unknown flag --frobnicate; see --help for those there are"},
		"one dash":           {args: []string{"-data-dir=x"}, want: "unknown flag -data-dir=x; write --data-dir"},
		"an argument":        {args: []string{"start"}, want: `unexpected argument "start"; settings are given as --name value, see --help`},
		"no value":           {args: []string{"--data-dir"}, want: "--data-dir needs a value: --data-dir DIR"},
		"a flag for a value": {args: []string{"--data-dir", "--broker", "x"}, want: "--data-dir needs a value: --data-dir DIR"},
		"given twice":        {args: []string{"--data-dir", "a", "--data-dir", "b"}, want: "--data-dir is given twice, give it once"},
		"no duration":        {args: []string{"--heartbeat-interval", "10"}, want: `--heartbeat-interval: "10" is no duration; write it as 10s, 1m30s or 500ms`},
		"too short":          {args: []string{"--heartbeat-interval", "1ms"}, want: "--heartbeat-interval: 1ms is too short, it must be at least 1s"},
		"no address":         {args: []string{"--mqtt-listen", "8883"}, want: `--mqtt-listen: "8883" is no address to listen on; write HOST:PORT, :PORT or [IPV6]:PORT`},
		"port too high":      {args: []string{"--mqtt-listen", ":88830"}, want: `--mqtt-listen: ":88830" is no address to listen on; write HOST:PORT, :PORT or [IPV6]:PORT`},
		"no pair":            {args: []string{"--labels", "a"}, want: `--labels: "a" is not of the form key=value`},
		"pair twice":         {args: []string{"--labels", "a=1,a=2"}, want: `--labels: "a" is given twice, give it once`},
		"contradiction":      {args: []string{"--broker", "x", "--mqtt-listen", ":1"}, want: "--broker and --mqtt-listen exclude each other"},
		"file missing":       {args: []string{"--config", "/nonexistent"}, want: "--config /nonexistent: no such file or directory"},
		"file a directory":   {args: []string{"--config", "/"}, want: "--config /: is a directory"},
		"unknown key":        {yaml: "data-dir: x\nbrokr: y\n", want: `FILE:2: unknown key "brokr"; did you mean broker?`},
		"bad YAML":           {yaml: "data-dir: x\n  broker: y\n", want: "FILE:2: not YAML: mapping values are not allowed in this context"},
		"not a mapping":      {yaml: "- a\n", want: `FILE:1: the file must consist of lines "name: value"`},
		"bad value":          {yaml: "\nheartbeat-interval: soon\n", want: `FILE:2: heartbeat-interval: "soon" is no duration; write it as 10s, 1m30s or 500ms`},
		"null":               {yaml: "data-dir:\n", want: `FILE:1: data-dir has no value; write "" for an empty one`},
		"list for one value": {yaml: "data-dir: [a]\n", want: "FILE:1: data-dir must be one value"},
		"nested list":        {yaml: "broker: [[a]]\n", want: "FILE:1: broker must be a list of plain values"},
		"key twice":          {yaml: "data-dir: a\ndata-dir: b\n", want: `FILE:2: "data-dir" is given twice, give it once`},
		"file in file":       {yaml: "config: x\n", want: "FILE:1: a config file can't name another one"},
		"file too large":     {yaml: "#" + strings.Repeat("x", maxConfig), want: "--config FILE: the file is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if c.yaml != "" {
				file := writeTemp(t, c.yaml)
				args = append(args, "--config", file)
				c.want = strings.ReplaceAll(c.want, "FILE", file)
			}
			var out, errs bytes.Buffer
			code := testCommand(&settings{}, func(context.Context, *Daemon) error {
				t.Error("the program ran")
				return nil
			}).Main(args, &out, &errs)
			if want := "error: " + c.want + "\n"; code != 2 || errs.String() != want {
				t.Errorf("exit code %d, stderr %swant 2, %s", code, &errs, want)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code int
		want string
	}{
		"clean":          {nil, 0, ""},
		"failure":        {errors.New("disk on fire"), 1, "error: disk on fire\n"},
		"several lines":  {errors.New("one\ntwo"), 1, "error: one; two\n"},
		"bad config":     {Usage(errors.New("--pod-cidr: too small")), 2, "error: --pod-cidr: too small\n"},
		"stray canceled": {context.Canceled, 1, "error: context canceled\n"},
	} {
		var out, errs bytes.Buffer
		run := func(context.Context, *Daemon) error { return c.err }
		code := testCommand(&settings{}, run).Main([]string{"--metrics-listen", ""}, &out, &errs)
		if code != c.code || errs.String() != c.want {
			t.Errorf("%s: exit code %d, stderr %q; want %d, %q", name, code, &errs, c.code, c.want)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	c := testCommand(&settings{}, nil)
	if code := c.Main([]string{"--version"}, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "skerry-test dev (go") {
		t.Errorf("--version: exit code %d, %q", code, &out)
	}
	out.Reset()
	if code := c.Main([]string{"--data-dir", "x", "--help"}, &out, &errs); code != 0 {
		t.Errorf("--help: exit code %d", code)
	}
	for _, want := range []string{"skerry-test is tested.", "--heartbeat-interval DURATION", "how often (default 10s)", "--config FILE", "--version"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help lacks %q:\n%s", want, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len([]rune(line)) > 101 {
			t.Errorf("--help has a line of %d characters: %s", len(line), line)
		}
	}
	if errs.Len() > 0 {
		t.Errorf("stderr: %s", &errs)
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An errand gets the settings and its outcome is the exit code; without its name the usual work is done.
func TestErrands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		out  string
		errs string
	}{
		"clean":        {[]string{"look", "--data-dir", "/d"}, 0, "looks at /d\n", ""},
		"failure":      {[]string{"look", "--data-dir", "/bad"}, 1, "looks at /bad\n", "error: it is bad\n"},
		"wrong flag":   {[]string{"look", "--nowhere"}, 2, "", "error: unknown flag --nowhere; see --help for those there are\n"},
		"usual work":   {[]string{"--metrics-listen", ""}, 0, "", ""},
		"another word": {[]string{"lok"}, 2, "", "error: unexpected argument \"lok\"; settings are given as --name value, see --help\n"},
	} {
		var got settings
		command := testCommand(&got, func(context.Context, *Daemon) error { return nil })
		command.Errands = []Errand{{Name: "look", Summary: "looks", Run: func(_ context.Context, out io.Writer) error {
			fmt.Fprintf(out, "looks at %s\n", got.Dir)
			if got.Dir == "/bad" {
				return errors.New("it is bad")
			}
			return nil
		}}}
		var out, errs bytes.Buffer
		code := command.Main(c.args, &out, &errs)
		if code != c.code || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, code, &out, &errs)
		}
	}
}

// What a second process of the program meets first is that it is the second one, not that a port is taken.
func TestTheDataDirectoryIsTakenBeforeThePort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		open func(context.Context, *Daemon) error
		want string
	}{
		"the directory is in use": {func(context.Context, *Daemon) error { return errors.New("another one uses /d") }, "error: another one uses /d\n"},
		"only the port is":        {func(context.Context, *Daemon) error { return nil }, "error: --metrics-listen"},
		"nothing to open":         {nil, "error: --metrics-listen"},
	} {
		command := testCommand(&settings{}, func(context.Context, *Daemon) error { return errors.New("it ran") })
		command.Open = c.open
		var out, errs bytes.Buffer
		code := command.Main([]string{"--metrics-listen", taken.Addr().String()}, &out, &errs)
		if code != 1 || !strings.HasPrefix(errs.String(), c.want) {
			t.Errorf("%s: exit code %d, %q, want 1, %q", name, code, &errs, c.want)
		}
	}
}
