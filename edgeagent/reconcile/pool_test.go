package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// live is an agent in real time, with the real pool of a machine with one core.
type live struct {
	t       *testing.T
	agent   *reconcile.Reconciler
	changed chan struct{}
}

func newLive(t *testing.T, wrap func(engine.Engine) engine.Engine, prober reconcile.Prober) *live {
	t.Helper()
	l := &live{t: t, changed: make(chan struct{}, 1)}
	began := time.Now()
	source := func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(began)} }
	pool := reconcile.NewPool(1)
	var err error
	l.agent, err = reconcile.New(reconcile.Config{
		Engine:  wrap(fake.New(fake.Config{Now: source, AnyImage: true})),
		Network: quiet{boardNetwork{&board{}}}, Disk: &memoryDisk{records: map[string][]byte{}}, Prober: prober,
		Executor: pool, Clock: source, Log: zerolog.Nop(), Node: func() plan.Node { return plan.Node{} },
		Changed: func() {
			select {
			case l.changed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.agent.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		pool.Close()
	})
	return l
}

func (l *live) desire(pods ...*corev1.Pod) {
	l.t.Helper()
	var content message.Content
	for _, p := range pods {
		data, err := p.Marshal()
		if err != nil {
			l.t.Fatal(err)
		}
		content.Pods = append(content.Pods, data)
	}
	l.agent.Accept(content)
}

// until waits for a pod's phase; Gone is one.
func (l *live) until(name string, want corev1.PodPhase) {
	l.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		_, pods := l.agent.Statuses()
		for _, p := range pods {
			var st corev1.PodStatus
			if err := st.Unmarshal(p.Status); err != nil {
				l.t.Fatal(err)
			}
			if p.Gone {
				st.Phase = "Gone"
			}
			if p.Name == name && st.Phase == want {
				return
			}
		}
		select {
		case <-l.changed:
		case <-deadline:
			l.t.Fatalf("%s never was %s", name, want)
		}
	}
}

func deleted(p *corev1.Pod) *corev1.Pod {
	p = p.DeepCopy()
	grace := int64(0)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Now()}, &grace
	return p
}

// slowRegistry never answers; it tells of each pull that has begun.
type slowRegistry struct {
	engine.Engine
	begun chan struct{}
}

func (s slowRegistry) Pull(ctx context.Context, _ string, _ bool, _ func(engine.Progress)) (string, error) {
	s.begun <- struct{}{}
	<-ctx.Done()
	return "", ctx.Err()
}

func TestAPodWhosePullStillWaitsIsDeletedAtOnce(t *testing.T) {
	begun := make(chan struct{}, 10)
	l := newLive(t, func(e engine.Engine) engine.Engine { return slowRegistry{e, begun} }, nil)
	first, second := newPod("first"), newPod("second") // one core: one pull at a time
	l.desire(first)
	<-begun
	l.desire(first, second)
	l.until("second", corev1.PodPending)
	l.desire(first, deleted(second))
	l.until("second", "Gone")
	if len(begun) > 0 {
		t.Error("its pull was begun")
	}
}

func TestWorkThatIsGivenUpWhileItWaitsIsNotBegun(t *testing.T) {
	pool := reconcile.NewPool(1)
	defer pool.Close()
	begun, block, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	pool.Submit(reconcile.LanePull, func(context.Context) { close(begun); <-block }, func() {})
	defer close(block)
	<-begun
	cancel := pool.Submit(reconcile.LanePull, func(context.Context) { t.Error("it was begun") }, func() { close(over) })
	cancel()
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on waiting")
	}
}

// hangingHooks never end; they tell of their end when they are cancelled.
type hangingHooks struct{ begun, cancelled chan string }

func (h hangingHooks) Call(ctx context.Context, id string, _ pod.Call) error {
	h.begun <- id
	<-ctx.Done()
	h.cancelled <- id
	return ctx.Err()
}

func hooked(name string) *corev1.Pod {
	p := newPod(name)
	p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"hang"}}}}
	return p
}

func TestHooksThatHangHoldUpNoOtherPod(t *testing.T) {
	hooks := hangingHooks{make(chan string, 100), make(chan string, 100)}
	l := newLive(t, func(e engine.Engine) engine.Engine { return e }, hooks)
	pods := []*corev1.Pod{hooked("a"), hooked("b"), hooked("c"), hooked("d"), hooked("e")}
	l.desire(pods...)
	deadline := time.After(20 * time.Second)
	for n := range pods {
		select {
		case <-hooks.begun:
		case <-deadline:
			t.Fatalf("only %d hooks of %d were begun", n, len(pods))
		}
	}
	pods = append(pods, newPod("plain"))
	l.desire(pods...)
	l.until("plain", corev1.PodRunning)

	pods[0] = deleted(pods[0])
	l.desire(pods...)
	l.until("a", "Gone")
	if len(hooks.cancelled) != 1 {
		t.Errorf("%d hooks were cancelled", len(hooks.cancelled))
	}
}

// failingHooks answer with an error.
type failingHooks struct{}

func (failingHooks) Call(context.Context, string, pod.Call) error { return errors.New("no") }

func TestAContainerWhoseHookFailsIsStopped(t *testing.T) {
	l := newLive(t, func(e engine.Engine) engine.Engine { return e }, failingHooks{})
	p := hooked("a")
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	l.desire(p)
	deadline := time.After(20 * time.Second)
	for told, ended := false, false; ; {
		told = told || slices.ContainsFunc(l.agent.TakeEvents(), func(e message.Event) bool { return e.Reason == "FailedPostStartHook" })
		_, pods := l.agent.Statuses()
		for _, one := range pods {
			var st corev1.PodStatus
			if err := st.Unmarshal(one.Status); err != nil {
				t.Fatal(err)
			}
			ended = len(st.ContainerStatuses) == 1 && st.ContainerStatuses[0].State.Terminated != nil
		}
		if told && ended {
			return
		}
		select {
		case <-l.changed:
		case <-deadline:
			t.Fatalf("the event was told: %v, the container has ended: %v", told, ended)
		}
	}
}
