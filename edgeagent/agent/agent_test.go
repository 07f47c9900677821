package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/logs"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

func sampleToken(t *testing.T) string {
	t.Helper()
	text, err := seal.Token{Cluster: "home", Brokers: []string{"mqtts://192.0.2.1:8883"}, Secret: make([]byte, seal.SecretSize)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The flags say who the node is until it has joined; afterwards the disk does.
func TestIdentity(t *testing.T) {
	t.Parallel()
	token := sampleToken(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh, err := identify(Config{NodeName: "pi-1", Join: "@" + file}, nil)
	if err != nil || fresh.Node != "pi-1" || fresh.joined || fresh.token.Cluster != "home" {
		t.Fatalf("before joining: %+v, %v", fresh, err)
	}
	stored, err := fresh.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"no flags":      {},
		"the same name": {NodeName: "pi-1"},
		"another token": {Join: "nonsense, not looked at"},
	} {
		id, err := identify(config, stored)
		if err != nil || id.Node != "pi-1" || !id.joined || id.token.Cluster != "home" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for name, c := range map[string]struct {
		config Config
		stored []byte
		want   string
	}{
		"another name": {Config{NodeName: "pi-2"}, stored, "--node-name pi-2: this data directory belongs to the node pi-1"},
		"damaged":      {Config{DataDir: "/d"}, stored[:len(stored)/2], "--data-dir /d: the stored identity is damaged"},
	} {
		if _, err := identify(c.config, c.stored); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func podStatus(t *testing.T, status corev1.PodStatus) []message.PodStatus {
	t.Helper()
	encoded, err := status.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return []message.PodStatus{{UID: "uid", Status: encoded}}
}

// The newest run's log is found, or the one before, and followed until the run's end has been reported.
func TestLogSource(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"9.log", "10.log", "10.log.1", "other"} {
		write("uid/app/" + name)
	}
	write("uid/once/0.log")
	container := func(restarts int32, state, last corev1.ContainerState) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: restarts, State: state, LastTerminationState: last}}}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "x"}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	none := corev1.ContainerState{}

	for name, c := range map[string]struct {
		status  corev1.PodStatus
		running bool
	}{
		"running":                   {container(10, runs, ended), true},
		"not yet reported":          {container(9, waits, ended), true},
		"terminated":                {container(10, ended, none), false},
		"waiting for its next run":  {container(10, waits, ended), false},
		"its successor is reported": {container(11, runs, ended), false},
		"no such container":         {corev1.PodStatus{}, false},
	} {
		source := logSource{root: root, statuses: func() (uint64, []message.PodStatus) { return 1, podStatus(t, c.status) }}
		place, err := source.Log("uid", "app", false)
		if err != nil || place.Path != filepath.Join(root, "uid/app/10.log") {
			t.Fatalf("%s: %s, %v", name, place.Path, err)
		}
		if got := place.Running(); got != c.running {
			t.Errorf("%s: running %v", name, got)
		}
		place, err = source.Log("uid", "app", true)
		if err != nil || place.Path != filepath.Join(root, "uid/app/9.log") || place.Running() {
			t.Errorf("%s: the previous run: %s, %v", name, place.Path, err)
		}
	}

	source := logSource{root: root, statuses: func() (uint64, []message.PodStatus) { return 1, podStatus(t, corev1.PodStatus{}) }}
	for name, c := range map[string]struct {
		uid, container string
		previous       bool
		want           error
	}{
		"one run only":      {"uid", "once", true, logs.ErrNoPrevious},
		"never started":     {"uid", "later", false, logs.ErrNotStarted},
		"an unknown pod":    {"other", "app", false, logs.ErrNoContainer},
		"out of the way":    {"..", "app", false, logs.ErrNoContainer},
		"further out":       {"uid", "../../etc", false, logs.ErrNoContainer},
		"without any names": {"", "", false, logs.ErrNoContainer},
	} {
		if _, err := source.Log(c.uid, c.container, c.previous); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for label, ok := range map[[2]string]bool{
		{"site", "roof"}: true, {"example.com/site", ""}: true, {"", "x"}: false, {"site", "a b"}: false, {"a/b/c", "x"}: false,
	} {
		if err := checkLabel(label[0], label[1]); (err == nil) != ok {
			t.Errorf("%v: %v", label, err)
		}
	}
}
