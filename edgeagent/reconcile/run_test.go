package reconcile_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// The shell and the pool, in real time.
func TestRun(t *testing.T) {
	began := time.Now()
	source := func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(began)} }
	changed := make(chan struct{}, 1)
	pool := reconcile.NewPool(2)
	b := &board{nets: map[string]string{}}
	r, err := reconcile.New(reconcile.Config{
		Engine: fake.New(fake.Config{Now: source, AnyImage: true}), Network: quiet{boardNetwork{b}}, Disk: &memoryDisk{records: map[string][]byte{}},
		Executor: pool, Clock: source, Log: zerolog.Nop(), Node: func() plan.Node { return plan.Node{} },
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	var content message.Content
	for _, name := range []string{"one", "two", "three"} {
		data, err := newPod(name).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		content.Pods = append(content.Pods, data)
	}
	r.Accept(content)
	for all := 0; all < 3; {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("not all pods run")
		}
		_, pods := r.Statuses()
		all = 0
		for _, p := range pods {
			if len(p.Status) > 0 && string(p.Status[2:9]) == "Running" {
				all++
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	pool.Close()
}

// quiet makes the board's network safe for several goroutines.
type quiet struct{ boardNetwork }

func (quiet) Prepare(_ context.Context, pod network.Pod) (string, string, error) {
	return "/net/" + pod.UID, "", nil
}
func (quiet) Release(context.Context, string) error           { return nil }
func (quiet) List(context.Context) (map[string]string, error) { return nil, nil }

func TestLogFilesRemoveNothingElse(t *testing.T) {
	root := t.TempDir()
	put := func(name string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"u1/app/1.log", "u1/app/1.log.1", "u1/app/11.log", "u1/app/2.log", "u2/app/1.log"} {
		put(name)
	}
	l := reconcile.LogFiles{Root: root}
	left := func(want ...string) {
		t.Helper()
		got, _ := filepath.Glob(filepath.Join(root, "*/*/*"))
		if len(got) != len(want) {
			t.Errorf("left: %v, want %v", got, want)
		}
		for _, name := range want {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Error(err)
			}
		}
	}
	if err := l.RemoveAttempt("u1", "app", 1); err != nil {
		t.Error(err)
	}
	left("u1/app/11.log", "u1/app/2.log", "u2/app/1.log")
	for _, uid := range []string{"", ".", "..", "u1/../u2"} {
		if err := l.RemovePod(uid); err == nil {
			t.Errorf("RemovePod(%q) succeeded", uid)
		}
	}
	if err := l.RemovePod("u1"); err != nil {
		t.Error(err)
	}
	left("u2/app/1.log")
}
