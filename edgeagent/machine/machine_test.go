package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shirou/gopsutil/v3/cpu"
	corev1 "k8s.io/api/core/v1"
)

func newMachine(t *testing.T, config Config) *Machine {
	t.Helper()
	config.Name, config.DataDir = "board-1", t.TempDir()
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func decode(t *testing.T, m *Machine) corev1.Node {
	t.Helper()
	var node corev1.Node
	if err := node.Unmarshal(m.Node()); err != nil {
		t.Fatal(err)
	}
	return node
}

// The machine that runs the test is described as Kubernetes would.
func TestThisMachine(t *testing.T) {
	m := newMachine(t, Config{Labels: map[string]string{"room": "attic"}, Version: "v1.2.3"})
	node := decode(t, m)
	want := map[string]string{
		"kubernetes.io/hostname": "board-1", "kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH, "room": "attic",
	}
	if diff := cmp.Diff(want, node.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for name, quantity := range node.Status.Capacity {
		if a := node.Status.Allocatable[name]; quantity.Sign() <= 0 || a.Sign() <= 0 || a.Cmp(quantity) > 0 {
			t.Errorf("%s: capacity %s, allocatable %s", name, quantity.String(), a.String())
		}
	}
	info := node.Status.NodeInfo
	if info.KubeletVersion != "v1.2.3" || info.BootID == "" || info.KernelVersion == "" || info.OSImage == "" {
		t.Errorf("info %+v", info)
	}
	var types []string
	for _, c := range node.Status.Conditions {
		types = append(types, string(c.Type))
		if c.LastTransitionTime.IsZero() || c.Reason == "" || c.Message == "" || !c.LastHeartbeatTime.IsZero() {
			t.Errorf("condition %+v", c)
		}
	}
	if !slices.Equal(types, []string{"MemoryPressure", "DiskPressure", "PIDPressure", "skerry.dev/MemoryLimits"}) {
		t.Errorf("conditions %v", types)
	}
	r := m.Readings()
	total := node.Status.Capacity[corev1.ResourceMemory]
	if r.MemoryKiB == 0 || int64(r.MemoryKiB)<<10 >= total.Value() || r.DiskKiB == 0 {
		t.Errorf("readings %+v", r)
	}
}

// Readings that move do not change the node; what a person would want to know does.
func TestTheNodeChangesOnlyWhenSomethingHappened(t *testing.T) {
	changes := 0
	m := newMachine(t, Config{Changed: func() { changes++ }})
	now := time.Unix(1_000_000, 0)
	s := sample{memTotal: 1 << 30, memAvail: 500 << 20, diskTotal: 32 << 30, diskFree: 10 << 30, maxPIDs: 32768, threads: 100,
		address: "10.0.0.7", hostname: "pi"}
	take := func() bool {
		t.Helper()
		before := changes
		now = now.Add(10 * time.Second)
		if err := m.take(s, now); err != nil {
			t.Fatal(err)
		}
		return changes != before
	}
	take()
	for name, c := range map[string]func(){
		"processor": func() { s.cpuMilli += 700 }, "memory": func() { s.memAvail -= 100 << 20 },
		"disk": func() { s.diskFree -= 3 << 30 }, "threads": func() { s.threads += 500 },
	} {
		if c(); take() {
			t.Errorf("%s: the node changed", name)
		}
	}
	if got := m.Readings(); got.CPUMilli != 700 || got.MemoryKiB != (1<<30-400<<20)>>10 || got.DiskKiB != 7<<20 {
		t.Errorf("readings %+v", got)
	}
	if s.address = "10.0.0.8"; !take() || m.IP() != "10.0.0.8" {
		t.Errorf("a new address changed nothing: %s", m.IP())
	}
}

// Pressure begins at its threshold, ends well above, and keeps the time of its beginning.
func TestPressureHasHysteresis(t *testing.T) {
	var j judge
	s := sample{memTotal: 1 << 30, diskTotal: 10 << 30, diskFree: 5 << 30, maxPIDs: 1000, threads: 10}
	now := time.Unix(1_000_000, 0)
	for i, c := range []struct {
		mib  uint64
		want corev1.ConditionStatus
	}{
		{200, corev1.ConditionFalse}, {51, corev1.ConditionFalse}, {49, corev1.ConditionTrue}, {60, corev1.ConditionTrue},
		{74, corev1.ConditionTrue}, {76, corev1.ConditionFalse}, {60, corev1.ConditionFalse},
	} {
		s.memAvail = c.mib << 20
		now = now.Add(time.Second)
		j.conditions(s, true, now)
		if got := j.find(corev1.NodeMemoryPressure); got.Status != c.want {
			t.Errorf("step %d, %d MiB left: %s", i, c.mib, got.Status)
		}
		if i == 4 && !j.find(corev1.NodeMemoryPressure).LastTransitionTime.Time.Equal(time.Unix(1_000_003, 0)) {
			t.Errorf("pressure since %s", j.find(corev1.NodeMemoryPressure).LastTransitionTime)
		}
	}
	s.diskFree, s.threads = 1<<20, 990
	j.conditions(s, false, now)
	for kind, want := range map[corev1.NodeConditionType]corev1.ConditionStatus{
		corev1.NodeDiskPressure: corev1.ConditionTrue, corev1.NodePIDPressure: corev1.ConditionTrue, memoryCgroup: corev1.ConditionFalse,
	} {
		if got := j.find(kind); got.Status != want {
			t.Errorf("%s is %s: %s", kind, got.Status, got.Message)
		}
	}
}

// The list of images is bounded, and its order does not wander.
func TestImagesAreTheLargest(t *testing.T) {
	var all []corev1.ContainerImage
	for i := range 70 {
		all = append(all, corev1.ContainerImage{Names: []string{fmt.Sprintf("image-%02d", i)}, SizeBytes: int64(i / 2)})
	}
	first := largest(all, maxImages)
	slices.Reverse(all)
	if diff := cmp.Diff(first, largest(all, maxImages)); diff != "" {
		t.Errorf("another order:\n%s", diff)
	}
	if len(first) != maxImages || first[0].Names[0] != "image-68" || first[maxImages-1].SizeBytes != 10 {
		t.Errorf("%d images, from %+v to %+v", len(first), first[0], first[len(first)-1])
	}
}

// The engine's name and images arrive by themselves, and an engine that is away takes nothing back.
func TestTheEngineIsAsked(t *testing.T) {
	changed := make(chan struct{}, 10)
	m := newMachine(t, Config{
		Engine: func(context.Context) string { return "containerd://1.6.20" },
		Images: func(context.Context) ([]corev1.ContainerImage, error) {
			return []corev1.ContainerImage{{Names: []string{"a"}, SizeBytes: 1}}, nil
		},
		Changed: func() { changed <- struct{}{} },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("the node did not change")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	node := decode(t, m)
	if node.Status.NodeInfo.ContainerRuntimeVersion != "containerd://1.6.20" || len(node.Status.Images) != 1 {
		t.Errorf("status %+v", node.Status)
	}
	m.config.Images = func(context.Context) ([]corev1.ContainerImage, error) { return nil, os.ErrClosed }
	m.config.Engine = func(context.Context) string { return "" }
	m.ticks = 0
	m.askEngine(t.Context())
	if len(m.images) != 1 || m.engine == "" {
		t.Errorf("forgot %v, %q", m.images, m.engine)
	}
}

func TestProcessorUse(t *testing.T) {
	before := cpu.TimesStat{User: 10, System: 5, Idle: 100, Iowait: 1}
	after := cpu.TimesStat{User: 10.5, System: 5.5, Idle: 101.5, Iowait: 1.5}
	if got, want := used(before, after), uint32(cores())*1000/3; got < want || got > want+1 {
		t.Errorf("used %d; want a third of %d cores, %d", got, cores(), want)
	}
	less := after
	less.Iowait, less.Idle = 0.5, 100 // the wait for the disk was counted backwards
	if got, want := used(before, less), uint32(cores())*1000; got != want {
		t.Errorf("used %d; want all of %d cores, %d", got, cores(), want)
	}
	if got := used(before, cpu.TimesStat{User: 10, System: 5, Idle: 110, Iowait: 1}); got != 1 {
		t.Errorf("an idle machine uses %d; want 1, as 0 means unknown", got)
	}
	if got := used(after, after); got != 0 {
		t.Errorf("no time passed: %d", got)
	}
	if got := used(after, before); got != 0 {
		t.Errorf("counters went back: %d", got)
	}
}

func TestOSImage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(file, []byte("NAME=x\nPRETTY_NAME=\"Raspbian GNU/Linux 12 (bookworm)\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := osImage(file); got != "Raspbian GNU/Linux 12 (bookworm)" {
		t.Errorf("osImage = %q", got)
	}
	if got := osImage("/none"); got != "Linux" {
		t.Errorf("osImage of no file = %q", got)
	}
}

// Sampling is cheap enough to go on for ever: 0.2 % of a core is 20 ms every 10 s.
func BenchmarkSample(b *testing.B) {
	m, err := New(Config{Name: "b", DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := m.sensor.read()
		if err != nil {
			b.Fatal(err)
		}
		if err := m.take(s, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// A guard that is missing is a condition once somebody needs it, and stays one, of the other kind, when it is there.
func TestTheGuardIsAConditionOnceItIsMissed(t *testing.T) {
	var problem error
	m := newMachine(t, Config{Guard: func() error { return problem }})
	guard := func() (found *corev1.NodeCondition) {
		t.Helper()
		if err := m.take(sample{memTotal: 1 << 30, diskTotal: 1 << 30, diskFree: 1 << 30}, time.Unix(1_000_000, 0)); err != nil {
			t.Fatal(err)
		}
		node := decode(t, m)
		for i := range node.Status.Conditions {
			if c := &node.Status.Conditions[i]; c.Type == "skerry.dev/GuardUnavailable" {
				found = c
			}
		}
		return found
	}
	if c := guard(); c != nil {
		t.Errorf("nobody needs it: %+v", c)
	}
	problem = errors.New("no skerry-guard answers")
	if c := guard(); c == nil || c.Status != corev1.ConditionTrue || c.Message != "pods with partition policy stop are not started: no skerry-guard answers" {
		t.Errorf("missing: %+v", c)
	}
	problem = nil
	if c := guard(); c == nil || c.Status != corev1.ConditionFalse {
		t.Errorf("back: %+v", c)
	}
}
