package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// board is one machine in virtual time: engine, disk and network outlive the agent on it.
type board struct {
	t      *testing.T
	now    clock.Now
	boot   int
	engine *fake.Engine
	disk   *memoryDisk
	nets   map[string]string

	agent   *reconcile.Reconciler
	pending []pending
	slept   time.Duration
	steps   int
}

// pending is work whose end is still to come.
type pending struct {
	at   clock.Now
	done func()
	over *bool
}

func newBoard(t *testing.T, images map[string]fake.Image) *board {
	b := &board{t: t, now: clock.Now{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Boot: time.Minute},
		disk: &memoryDisk{records: map[string][]byte{}}, nets: map[string]string{}}
	b.engine = fake.New(fake.Config{Now: func() clock.Now { return b.now }, Images: images, AnyImage: true, StartTime: 200 * time.Millisecond,
		Sleep: func(_ context.Context, d time.Duration) error { b.slept += d; return nil }})
	b.startAgent()
	return b
}

func (b *board) startAgent() {
	b.t.Helper()
	b.pending = nil
	r, err := reconcile.New(reconcile.Config{
		Engine: b.engine, Network: boardNetwork{b}, Disk: b.disk, Executor: executor{b}, Guard: b.engine.Guard(),
		Clock: func() clock.Now { return b.now }, Log: zerolog.Nop(),
		Node: func() plan.Node { return plan.Node{Name: "board", IP: "192.0.2.7", Boot: fmt.Sprint(b.boot)} },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.agent = r
}

func (b *board) reboot() {
	b.engine.Reboot()
	b.nets = map[string]string{}
	b.boot++
	b.now.Boot = 5 * time.Second
	b.startAgent()
}

// pass lets time go by, event by event.
func (b *board) pass(d time.Duration) *board {
	end := b.now.Add(d)
	for {
		b.engine.Tick()
		next := b.agent.Step(b.now)
		b.steps++
		for i := 0; i < len(b.pending); {
			if p := b.pending[i]; *p.over || b.now.Reached(p.at) {
				b.pending = slices.Delete(b.pending, i, i+1)
				if !*p.over {
					*p.over = true
					p.done()
				}
				next = b.now
				continue
			}
			i++
		}
		for _, p := range b.pending {
			next = clock.Earliest(next, p.at)
		}
		next = clock.Earliest(next, b.engine.Next())
		if b.now.Reached(next) {
			continue
		}
		if next.Boot > end.Boot {
			b.now = end
			return b
		}
		b.now = b.now.Add(next.Since(b.now))
	}
}

// executor runs work at once and delivers its end when it would have ended.
type executor struct{ b *board }

func (e executor) Submit(_ reconcile.Lane, work func(context.Context), done func()) func() {
	e.b.slept = 0
	work(context.Background())
	over := false
	e.b.pending = append(e.b.pending, pending{at: e.b.now.Add(e.b.slept), done: done, over: &over})
	return func() {
		if !over {
			over = true
			done()
		}
	}
}

type boardNetwork struct{ b *board }

func (n boardNetwork) Prepare(_ context.Context, pod network.Pod) (string, string, error) {
	if pod.Host {
		return "/host", "", nil
	}
	n.b.nets[pod.UID] = "10.0.0.9"
	return "/net/" + pod.UID, "10.0.0.9", nil
}

func (n boardNetwork) Release(_ context.Context, uid string) error { delete(n.b.nets, uid); return nil }

func (n boardNetwork) List(context.Context) (map[string]string, error) {
	return maps.Clone(n.b.nets), nil
}

// memoryDisk counts what is written.
type memoryDisk struct {
	content []byte
	records map[string][]byte
	writes  int
}

func (d *memoryDisk) Desired() (message.Position, message.Digest, []byte, error) {
	if d.content == nil {
		return message.Position{}, message.Digest{}, nil, nil
	}
	return message.Position{Serial: 1}, message.DigestOf(d.content), d.content, nil
}

func (d *memoryDisk) Records() (map[string][]byte, error) { return maps.Clone(d.records), nil }

func (d *memoryDisk) KeepRecords(records map[string][]byte) error {
	d.writes++
	for uid, data := range records {
		if data == nil {
			delete(d.records, uid)
		} else {
			d.records[uid] = data
		}
	}
	return nil
}

// desire gives the agent a desired state, as the master's link does: disk first.
func (b *board) desire(pods ...*corev1.Pod) *board {
	var content message.Content
	for _, p := range pods {
		data, err := p.Marshal()
		if err != nil {
			b.t.Fatal(err)
		}
		content.Pods = append(content.Pods, data)
	}
	b.disk.content = message.Encode(content)
	b.agent.Accept(content)
	return b
}

// newPod is a pod with one container that runs args.
func newPod(name string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012x", name[:min(len(name), 6)]))},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: name + ":1", Args: args}}},
	}
}

func (b *board) statuses() map[string]corev1.PodStatus {
	out := map[string]corev1.PodStatus{}
	_, pods := b.agent.Statuses()
	for _, p := range pods {
		var st corev1.PodStatus
		if err := st.Unmarshal(p.Status); err != nil {
			b.t.Fatal(err)
		}
		if p.Gone {
			st.Phase = "Gone"
		}
		out[p.Name] = st
	}
	return out
}

// shows checks the pods' states, as "web=Running db=ImagePullBackOff".
func (b *board) shows(want string) *board {
	b.t.Helper()
	var got []string
	all := b.statuses()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		st := all[name]
		word := string(st.Phase)
		for _, c := range st.ContainerStatuses {
			if w := c.State.Waiting; w != nil && st.Phase != "Gone" {
				word = w.Reason
			}
		}
		got = append(got, name+"="+word)
	}
	if text := strings.Join(got, " "); text != want {
		b.t.Errorf("statuses are %q, want %q", text, want)
	}
	return b
}
