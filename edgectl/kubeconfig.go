package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// defaultDataDir is where a master keeps its data unless told otherwise.
func defaultDataDir(getenv func(string) string) string {
	if dir := getenv("SKERRY_DATA_DIR"); dir != "" {
		return dir
	}
	return "/var/lib/skerry/master"
}

// choice is which kubeconfig is used.
type choice struct {
	path    string // of this machine's master; empty when something else is set, or there is none
	problem string // why there is none, in one line
}

// choose falls back to the kubeconfig of this machine's master when neither --kubeconfig nor KUBECONFIG says
// which one to use and the user has none at home. readable says why a file can't be read.
func choose(explicit bool, env, home, dataDir string, readable func(string) error) choice {
	if explicit || env != "" {
		return choice{}
	}
	if home != "" {
		if err := readable(filepath.Join(home, ".kube", "config")); !errors.Is(err, fs.ErrNotExist) {
			return choice{}
		}
	}
	path := filepath.Join(dataDir, "admin.kubeconfig")
	switch err := readable(path); {
	case err == nil:
		return choice{path: path}
	case errors.Is(err, fs.ErrNotExist):
		return choice{problem: fmt.Sprintf("no cluster is set: there is no ~/.kube/config, KUBECONFIG or --kubeconfig, and no master of this machine has written %s; "+
			"copy a master's admin.kubeconfig to ~/.kube/config, or name its directory with --data-dir", path)}
	case errors.Is(err, fs.ErrPermission):
		return choice{problem: fmt.Sprintf("no permission to read %s: run with sudo, or let root copy it to ~/.kube/config for you", path)}
	default:
		return choice{problem: fmt.Sprintf("read the kubeconfig of this machine's master: %v", err)}
	}
}

// readable reports why a file can't be read.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
