package agent

import (
	"context"
	"maps"
	"runtime"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
)

// newFakeRuntime is a board that exists on paper: its pods run, but nothing does.
func newFakeRuntime(config Config, node string) (*runtimeParts, error) {
	board, err := newFakeMachine(node, config.Labels)
	if err != nil {
		return nil, err
	}
	e := fake.New(fake.Config{Now: daemon.Clock, AnyImage: true})
	return &runtimeParts{
		engine:  e,
		guard:   e.Guard(),
		dial:    dialFake,
		network: &fakeNetwork{pods: map[string]string{}},
		board:   board,
		close:   func() error { return nil },
	}, nil
}

// fakeMachine is a machine of a given size.
type fakeMachine struct{ node []byte }

func newFakeMachine(name string, labels map[string]string) (fakeMachine, error) {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
		corev1.LabelHostname:   name,
		corev1.LabelOSStable:   runtime.GOOS,
		corev1.LabelArchStable: runtime.GOARCH,
	}}}
	maps.Copy(node.Labels, labels)
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(4, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(1<<30, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(110, resource.DecimalSI),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.NodeInfo = corev1.NodeSystemInfo{
		OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, OSImage: "none", KernelVersion: "none",
		ContainerRuntimeVersion: "fake://1", KubeletVersion: daemon.Version,
	}
	encoded, err := node.Marshal()
	return fakeMachine{encoded}, err
}

// Node implements board.
func (m fakeMachine) Node() []byte { return m.node }

// Readings implements board.
func (fakeMachine) Readings() message.Readings { return message.Readings{} }

// IP implements board.
func (fakeMachine) IP() string { return "" }

// fakeNetwork remembers which pods have a network.
type fakeNetwork struct {
	mu   sync.Mutex
	pods map[string]string
}

// Prepare implements reconcile.Network.
func (n *fakeNetwork) Prepare(_ context.Context, pod network.Pod) (path, ip string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !pod.Host {
		n.pods[pod.UID] = ""
	}
	return "", "", nil
}

// Release implements reconcile.Network.
func (n *fakeNetwork) Release(_ context.Context, podUID string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pods, podUID)
	return nil
}

// List implements reconcile.Network.
func (n *fakeNetwork) List(context.Context) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.pods), nil
}
