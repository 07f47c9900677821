package e2e

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Real brokers, set up by nothing but what edgectl broker config wrote: nodes have joined before behind the embedded
// broker, one joins afterwards, and the master's certificate authority is what all of them know the broker by.
func TestBrokersOfOnesOwn(t *testing.T) {
	for _, kind := range []struct {
		name, program string
		arguments     func(dir string) []string
	}{
		{"mosquitto", "mosquitto", func(dir string) []string { return []string{"-c", filepath.Join(dir, "skerry.conf")} }},
		{"nats", "nats-server", func(dir string) []string { return []string{"-c", filepath.Join(dir, "nats.conf")} }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			program, err := exec.LookPath(kind.program)
			if err != nil {
				program = "/usr/sbin/" + kind.program
			}
			f := &fleet{T: t, lab: newLab(t)}
			host := f.host("broker")
			f.startMaster(quick...) // for its keys
			dir := filepath.Join(f.lab.Dir, kind.name)
			write := func() {
				f.contains(f.kubectl("broker", "config", kind.name, "--out", dir, "--dir", dir, "--names", host.Address),
					"--broker mqtts://"+host.Address+":8883 --broker-ca cluster")
				own(t, dir, kind.program)
			}
			write()
			if info, err := os.Stat(filepath.Join(dir, "server.key")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the broker's key: %v, %v", info, err)
			}
			if _, err := f.master.Stop(); err != nil {
				t.Fatal(err)
			}
			broker, err := f.lab.Start(kind.name, host, program, kind.arguments(dir)...)
			if err != nil {
				t.Fatal(err)
			}
			master, err := f.lab.StartMaster(f.master.Host, append([]string{"--broker", "mqtts://" + host.Address + ":8883", "--broker-ca", "cluster"}, quick...)...)
			if err != nil {
				t.Fatal(err)
			}
			f.master = master
			f.until("the master serves", func() (bool, string) {
				out, err := f.master.Kubectl("get", "--raw", "/readyz")
				return err == nil, seen(out, err)
			})
			f.token = f.newToken("--uses", "0")
			agent := f.addNode()
			f.until("the node has joined and is refused as itself", func() (bool, string) {
				log := agent.Log()
				return contains(log, "the node has joined", "it refuses the user name or password"), log
			})
			// A password file is static: whoever has joined gets an account with the next one.
			write()
			if err := broker.Signal(syscall.SIGHUP); err != nil { // as systemctl reload does
				t.Fatal(err)
			}
			f.waitReady(1)
			f.run("app", "sleep")
		})
	}
}

func contains(text string, wants ...string) bool {
	for _, want := range wants {
		if !strings.Contains(text, want) {
			return false
		}
	}
	return true
}

// own gives a directory to the user that Debian's package has for a program, as one does on the broker's machine:
// started by root, mosquitto changes to that user before it reads its files.
func own(t *testing.T, dir, program string) {
	t.Helper()
	account, err := user.Lookup(program)
	if err != nil {
		return // it goes on as root
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, dir) {
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for path := filepath.Dir(dir); path != "/" && path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o711); err != nil { // the lab's own directory
			t.Fatal(err)
		}
	}
}
