package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-edge/skerry/edgectl/brokerconfig"
)

// Secrets are for their owner alone, though somebody has prepared the directory: with a file of the same name that all
// may read, and with such a link in its place.
func TestBrokerFilesInAPreparedDirectory(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	for _, name := range []string{"server.key", "server.key.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"passwords", "passwords.new"} {
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files := []brokerconfig.File{{Name: "server.key", Data: []byte("key"), Secret: true}, {Name: "passwords", Data: []byte("p"), Secret: true}, {Name: "acl"}}
	if err := writeFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"server.key": 0o600, "passwords": 0o600, "acl": 0o644} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %s", name, info.Mode(), err, mode)
		}
	}
	if data, err := os.ReadFile(elsewhere); err == nil {
		t.Errorf("it was written elsewhere: %q", data)
	}
}
