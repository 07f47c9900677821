package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The directions of the design: each row is a package, an import, and whether it is refused.
func TestImportDirections(t *testing.T) {
	for _, c := range []struct {
		place, path string
		refused     bool
	}{
		{"master/scheduler", module + "master/change", false},
		{"master/scheduler", module + "master/resource", false},
		{"master/scheduler", module + "protocol/clock", false},
		{"master/scheduler", module + "master/apiserver", true},
		{"master/scheduler", module + "master/store/bolt", true},
		{"master/nodelink", module + "master/nodelink/peer", false},
		{"master/nodelink/peer", module + "master/nodelink", false},
		{"master/nodelink", module + "edgeagent/pod", true},
		{"master/store", module + "protocol/clock", false},
		{"master/store", module + "protocol/message", true},
		{"master/store", module + "master/resource", true},
		{"master/store/bolt", module + "master/store", false},
		{"master/change", module + "master/store", true},
		{"master/server", module + "master/apiserver", false},
		{"master", module + "master/server", false},
		{"edgeagent/plan", module + "edgeagent/pod", false},
		{"edgeagent/pod", module + "edgeagent/plan", true},
		{"edgeagent/reconcile", module + "edgeagent/disk", false},
		{"edgeagent/masterlink", module + "edgeagent/disk", true},
		{"edgeagent/engine/containerd", module + "edgeagent/engine", false},
		{"edgeagent/guard/keeper", module + "edgeagent/guard/wire", false},
		{"edgeagent/guard/keeper", module + "edgeagent/engine", true},
		{"edgeagent/guard/keeper", "syscall", false},
		{"edgeagent/guard/keeper", "net", true},
		{"edgeagent/guard/keeper", "golang.org/x/sys/unix", true},
		{"edgeagent/guard", "net", false},
		{"edgeagent/guard", "github.com/rs/zerolog", true},
		{"edgeagent/logs/writer", "fmt", true},
		{"edgeagent/agent", module + "edgeagent/guard", false},
		{"edgeagent/reconcile", module + "edgeagent/guard", true},
		{"protocol/message", module + "master/change", true},
		{"edgectl", module + "master/change", true},
		{"edgectl", module + "protocol/seal", false},
		{"test/sim", module + "edgeagent/pod", false},
		{"master/nodelink", "github.com/eclipse/paho.mqtt.golang", true},
		{"protocol/bus/mqtt", "github.com/eclipse/paho.mqtt.golang", false},
		{"master/store", "go.etcd.io/bbolt", true},
		{"edgeagent/agent", "github.com/containerd/containerd/v2/client", true},
		{"master/scheduler", "context", true},
		{"master/scheduler", "github.com/rs/zerolog", true},
		{"master/apiserver", "github.com/rs/zerolog", false},
		{"master/scheduler", "k8s.io/api/core/v1", false},
	} {
		if why := refuse(c.place, c.path); (why != "") != c.refused {
			t.Errorf("%s imports %s: refused = %v (%s), want %v", c.place, c.path, why != "", why, c.refused)
		}
	}
}

// Everything that makes a package impure is found, and what only looks like it is not.
func TestPurity(t *testing.T) {
	dir := t.TempDir()
	source := `package x
import "time"
func f(now time.Time) time.Duration {
	go f(now)
	select {}
	_ = time.Now()
	return time.Since(now) + time.Second
}
`
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := checkPurity(goPackage{ImportPath: module + "master/x", Dir: dir, GoFiles: []string{"x.go"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"x.go:4: a goroutine", "x.go:5: a select", "x.go:6: time.Now", "x.go:7: time.Since"}
	if len(found) != len(want) {
		t.Fatalf("found %q, want %q", found, want)
	}
	for i := range want {
		if !strings.Contains(found[i], want[i]) {
			t.Errorf("finding %d is %q, want %q in it", i, found[i], want[i])
		}
	}
}
