// Package install runs build/install into a directory of its own, with programs that do nothing.
package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// site is where a test installs to.
type site struct {
	*testing.T
	dir, bin string
	env      []string
}

func newSite(t *testing.T, env ...string) *site {
	s := &site{T: t, dir: t.TempDir(), bin: t.TempDir()}
	for _, name := range []string{"skerry-master", "skerry-agent", "skerry-log", "skerry-guard", "edgectl"} {
		s.write(filepath.Join(s.bin, name), "#!/bin/sh\necho \"$0 $*\"\n", 0o755)
	}
	s.env = append(os.Environ(), "BIN="+s.bin, "DESTDIR="+s.dir, "PREFIX=/usr", "SYSCONFDIR=/etc", "UNITDIR=/usr/lib/systemd/system")
	s.env = append(s.env, env...)
	return s
}

func (s *site) write(path, text string, mode fs.FileMode) {
	s.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.Fatal(err)
	}
}

func (s *site) read(path string) string {
	s.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}

// run runs build/install and returns all that it says.
func (s *site) run(args ...string) (string, error) {
	cmd := exec.Command("../../build/install", args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *site) must(args ...string) string {
	s.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	return out
}

// files are those below the directory, with their modes.
func (s *site) files() (all []string) {
	s.Helper()
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all = append(all, info.Mode().String()+" "+strings.TrimPrefix(path, s.dir))
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// Everything comes to its place and goes again; a config file that was changed stays, whatever happens.
func TestInstallAndUninstall(t *testing.T) {
	s := newSite(t)
	s.must()
	want := []string{
		"-rw------- /etc/skerry/agent.yaml",
		"-rw------- /etc/skerry/master.yaml",
		"-rw-r--r-- /usr/lib/systemd/system/skerry-agent.service",
		"-rw-r--r-- /usr/lib/systemd/system/skerry-guard.service",
		"-rw-r--r-- /usr/lib/systemd/system/skerry-guard.socket",
		"-rw-r--r-- /usr/lib/systemd/system/skerry-master.service",
		"-rw-r--r-- /usr/share/bash-completion/completions/edgectl",
		"-rw-r--r-- /usr/share/fish/vendor_completions.d/edgectl.fish",
		"-rw-r--r-- /usr/share/zsh/site-functions/_edgectl",
		"-rwxr-xr-x /usr/bin/edgectl",
		"-rwxr-xr-x /usr/bin/skerry-agent",
		"-rwxr-xr-x /usr/bin/skerry-guard",
		"-rwxr-xr-x /usr/bin/skerry-log",
		"-rwxr-xr-x /usr/bin/skerry-master",
	}
	if diff := cmp.Diff(want, s.files()); diff != "" {
		t.Error(diff)
	}
	if got, want := s.read("/usr/share/zsh/site-functions/_edgectl"), s.bin+"/edgectl completion zsh\n"; got != want {
		t.Errorf("the completion of zsh is %q, want %q", got, want)
	}

	s.write(filepath.Join(s.dir, "etc/skerry/agent.yaml"), "node-name: a\n", 0o600)
	if out := s.must(); !strings.Contains(out, "kept, because it was changed: "+s.dir+"/etc/skerry/agent.yaml") {
		t.Errorf("the second time it says %s", out)
	}
	s.must("uninstall")
	if diff := cmp.Diff([]string{"-rw------- /etc/skerry/agent.yaml"}, s.files()); diff != "" {
		t.Error(diff)
	}
	if got := s.read("/etc/skerry/agent.yaml"); got != "node-name: a\n" {
		t.Errorf("the changed file is now %q", got)
	}
	s.must("uninstall") // once more does no harm
}

// The units name the programs and files where they were installed, and systemd understands every line of them.
func TestUnits(t *testing.T) {
	s := newSite(t, "PREFIX=/opt/skerry", "SYSCONFDIR=/opt/etc", "UNITDIR=/units")
	s.must()
	var verify []string
	for name, arguments := range map[string]string{"master": " --config /opt/etc/skerry/master.yaml", "agent": " --config /opt/etc/skerry/agent.yaml", "guard": ""} {
		unit := s.read("/units/skerry-" + name + ".service")
		verify = append(verify, filepath.Join(s.dir, "units/skerry-"+name+".service"))
		if want := "\nExecStart=/opt/skerry/bin/skerry-" + name + arguments + "\n"; !strings.Contains(unit, want) {
			t.Errorf("the unit of the %s has no %q:\n%s", name, want, unit)
		}
		// What is to be verified has to be there.
		s.write(filepath.Join(s.dir, "units/skerry-"+name+".service"), strings.ReplaceAll(unit, "/opt/skerry/bin", s.bin), 0o644)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze on this machine to verify the units with")
	}
	out, err := exec.Command(analyze, append([]string{"verify", filepath.Join(s.dir, "units/skerry-guard.socket")}, verify...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "skerry") {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}

// Containers are not the agent's to kill, and it must see the mounts that containerd sees.
func TestAgentUnitLeavesContainersAlone(t *testing.T) {
	unit, err := os.ReadFile("../../systemd/skerry-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(unit)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			settings[key] = value
		}
	}
	for key, want := range map[string]string{"Type": "notify", "KillMode": "process", "Restart": "always"} {
		if settings[key] != want {
			t.Errorf("%s=%s, want %s", key, settings[key], want)
		}
	}
	// systemd.exec(5): each of these gives the service a mount namespace of its own, or takes directories away.
	for key := range settings {
		for _, bad := range []string{"Private", "Protect", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "TemporaryFileSystem", "RuntimeDirectory", "DynamicUser", "MountFlags", "RootDirectory"} {
			if strings.HasPrefix(key, bad) {
				t.Errorf("%s= would part the agent from containerd", key)
			}
		}
	}
}

// What can't be done is said in one line.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ env, want string }{
		"nothing built":   {"BIN=/nonexistent", "run `make build` first"},
		"relative prefix": {"PREFIX=usr", `"usr" can't be installed to`},
		"space":           {"DESTDIR=/tmp/a b", `"/tmp/a b" can't be installed to`},
	} {
		s := newSite(t, c.env)
		out, err := s.run()
		if err == nil || !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: %v: %q, want %q", name, err, out, c.want)
		}
		if files := s.files(); len(files) > 0 {
			t.Errorf("%s: installed %q", name, files)
		}
	}
	// A board's edgectl that does not run here costs its completion alone.
	s := newSite(t)
	s.write(filepath.Join(s.bin, "edgectl"), "\x7fELF", 0o755)
	if out := s.must(); strings.Count(out, "no completion for ") != 3 {
		t.Errorf("says %s", out)
	}
}
