package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine/containerd"
	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
	"github.com/skerry-edge/skerry/edgeagent/logs"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

func sampleToken(t *testing.T) string { return sampleTokenOf(t, 0) }

// sampleTokenOf is one with a secret of its own.
func sampleTokenOf(t *testing.T, secret byte) string {
	t.Helper()
	exchange, signing := sealtest.NewCluster("home").Keys.Public()
	text, err := seal.Token{Cluster: "home", Exchange: exchange, Signing: signing, Brokers: []string{"mqtts://192.0.2.1:8883"}, Secret: bytes.Repeat([]byte{secret}, seal.SecretSize)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The flags say who the node is until it has joined; afterwards the disk does.
func TestIdentity(t *testing.T) {
	t.Parallel()
	token, another := sampleToken(t), sampleTokenOf(t, 1)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh, join, err := identify(Config{NodeName: "pi-1", Join: "@" + file}, nil, rand.Reader)
	if err != nil || fresh.Node != "pi-1" || fresh.Joined || join == nil || fresh.Cluster != "home" {
		t.Fatalf("before joining: %+v, %v", fresh, err)
	}
	encode := func(edit func(*identity)) []byte {
		id := fresh
		edit(&id)
		data, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	pending := encode(func(*identity) {})
	stored := encode(func(id *identity) { id.Joined = true })
	removed := encode(func(id *identity) { id.Joined, id.Revoked = true, 7 })
	for name, c := range map[string]struct {
		config  Config
		stored  []byte
		joins   bool
		sameKey bool
	}{
		"no flags":             {Config{}, stored, false, true},
		"the same name":        {Config{NodeName: "pi-1"}, stored, false, true},
		"another token":        {Config{Join: "nonsense, not looked at"}, stored, false, true},
		"the verdict was lost": {Config{Join: token}, pending, true, true},
		"with the same name":   {Config{Join: token, NodeName: "pi-1"}, pending, true, true},
		"removed":              {Config{}, removed, false, true},
		"removed, its token is still in the config": {Config{Join: token}, removed, false, true},
		"removed, and to join again":                {Config{Join: another}, removed, true, false},
		"that failed":                               {Config{Join: another}, encode(func(id *identity) { id.With = "12345678" }), true, true},
	} {
		id, join, err := identify(c.config, c.stored, rand.Reader)
		if err != nil || id.Node != "pi-1" || id.Cluster != "home" || (join != nil) != c.joins {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if same := bytes.Equal(id.Key, fresh.Key); same != c.sameKey {
			t.Errorf("%s: the same key: %v", name, same)
		}
	}
	if id, _, err := identify(Config{Join: token, NodeName: "pi-2"}, pending, rand.Reader); err != nil || id.Node != "pi-2" || bytes.Equal(id.Key, fresh.Key) {
		t.Errorf("another name before it has joined: %+v, %v", id, err)
	}
	for name, c := range map[string]struct {
		config Config
		stored []byte
		want   string
	}{
		"another name":                        {Config{NodeName: "pi-2"}, stored, "--node-name pi-2: this data directory belongs to the node pi-1"},
		"damaged":                             {Config{DataDir: "/d"}, stored[:len(stored)/2], "--data-dir /d: the stored identity is damaged"},
		"of an early version":                 {Config{DataDir: "/d"}, []byte(`{"node":"pi-1","token":"sk1.x"}`), "--data-dir /d: the stored identity is damaged or of an earlier version"},
		"no token yet":                        {Config{}, nil, "--join is needed until the node has joined"},
		"not joined yet":                      {Config{}, pending, "--join is needed until the node has joined"},
		"removed, half a token to join again": {Config{Join: "sk1.abc"}, removed, "--join: the join token is cut off or mistyped"},
	} {
		if _, _, err := identify(c.config, c.stored, rand.Reader); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(format, fresh); text != "node pi-1 of cluster home" {
			t.Errorf("%s prints %q", format, text)
		}
	}
}

// A key changes on the disk first, and what a crash leaves behind is gone on with.
func TestKeys(t *testing.T) {
	t.Parallel()
	id, _, err := identify(Config{NodeName: "pi-1", Join: sampleToken(t)}, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var disk []byte
	var full error
	open := func() *keys {
		k := &keys{random: rand.Reader, id: id, keep: func(data []byte) error {
			if full == nil {
				disk = data
			}
			return full
		}}
		if disk != nil {
			if err := json.Unmarshal(disk, &k.id); err != nil {
				t.Fatal(err)
			}
		}
		return k
	}
	public := func(k *keys) [32]byte {
		key, err := publicOf(k.id.Key)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	k := open()
	first := public(k)
	full = errors.New("no space left on device")
	if _, err := k.Next(); !errors.Is(err, full) {
		t.Errorf("a key that is not stored is offered: %v", err)
	}
	full = nil
	next, err := k.Next()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := open().Next(); err != nil || again != next {
		t.Errorf("after a crash another key is offered: %v", err)
	}
	if _, err := open().Use([32]byte{9}); err == nil || public(open()) != first {
		t.Errorf("a key is used that was never made: %v", err)
	}
	before, err := open().id.box()
	if err != nil {
		t.Fatal(err)
	}
	box, err := open().Use(next)
	if err != nil || public(open()) != next || box.Password() == "" {
		t.Fatalf("used: %v", err)
	}
	if open().id.Password != before.Password() {
		t.Error("the broker's password of the key before is forgotten")
	}
	again, err := open().Use(next)
	if err != nil || again.Password() != box.Password() {
		t.Errorf("used again: %v", err)
	}
	if third, err := open().Next(); err != nil || third == next || third == first {
		t.Errorf("the key after that: %v", err)
	}
	if err := open().Revoked(77); err != nil || open().id.Revoked != 77 {
		t.Errorf("revoked: %v", err)
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
		{"node-restriction.kubernetes.io/x", "x"}: false,
	} {
		if err := checkLabel(label[0], label[1]); (err == nil) != ok {
			t.Errorf("%v: %v", label, err)
		}
	}
}

// The guard takes the group in which the engine runs what needs a permit.
func TestGuardedGroup(t *testing.T) {
	config := Config{DataDir: t.TempDir()}
	group := guardedGroup(config)
	if err := wire.CheckGroup(group); err != nil {
		t.Errorf("%s: %v", group, err)
	}
	if want := containerd.CgroupParent(config.DataDir) + "/stop"; group != want {
		t.Errorf("it is %s, want %s", group, want)
	}
}
