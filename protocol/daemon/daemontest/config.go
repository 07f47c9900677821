package daemontest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/daemon"
)

// update rewrites the files instead of comparing with them.
var update = flag.Bool("update", false, "rewrite the files that are compared with")

// CheckConfigFile compares the config file at path with what the program's settings make of it, and lets the
// program read it, as it is and with every default spelt out.
func CheckConfigFile(t *testing.T, command daemon.Command, path string) {
	t.Helper()
	want := ConfigFile(command)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale; run the test with -update: %s", path, diff)
	}
	for name, text := range map[string]string{"as it is": want, "with the defaults": spellOut(command, want)} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		ran := false
		command.Open = nil // the directory of the defaults is the machine's own
		command.Run = func(context.Context, *daemon.Daemon) error { ran = true; return nil }
		args := []string{"--config", file, "--metrics-listen", ""}
		if code := command.Main(args, &stdout, &stderr); code != 0 || !ran {
			t.Errorf("the file %s ends the program with %d: %s", name, code, &stderr)
		}
	}
}

// ConfigFile is a config file with all of a program's settings, commented out.
func ConfigFile(command daemon.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Settings of %s; `+"`%[1]s --help`"+` lists them too. What is commented out has the value shown, or
# none where an example in capital letters is shown. A flag on the command line wins over this file.
# A change takes effect with: systemctl restart %[1]s
`, command.Name)
	for _, s := range command.Settings() {
		if s.Name == "config" { // a config file can't name another
			continue
		}
		b.WriteString("\n")
		for _, line := range wrap(s.Usage, 110) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		fmt.Fprintf(&b, "%s%s\n", key(s), value(s))
	}
	return b.String()
}

func key(s daemon.Flag) string { return "#" + s.Name + ": " }

func value(s daemon.Flag) string {
	value := s.Default
	if value == "" {
		value = s.Arg
	}
	if strings.ContainsAny(value, ":@[]{},|#") {
		value = `"` + value + `"`
	}
	return value
}

// spellOut takes the comment off the settings that have a default.
func spellOut(command daemon.Command, file string) string {
	for _, s := range command.Settings() {
		if s.Default != "" {
			file = strings.Replace(file, "\n"+key(s), "\n"+s.Name+": ", 1)
		}
	}
	return file
}

// wrap breaks text between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
