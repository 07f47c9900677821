package sim

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
)

// TestBrokenPartsAreNoticed plants one mistake at a time and plays seeds until an invariant breaks. docs/simulation.md
// lists them.
func TestBrokenPartsAreNoticed(t *testing.T) {
	const most = 150 // seeds
	for _, test := range []struct {
		mistake string
		broken  func() Broken
		want    string // part of what the world says
	}{
		{"an agent's disk says that it keeps desired states, and keeps one in three", func() Broken {
			return Broken{AgentDisk: func(d AgentDisk) AgentDisk { return &forgetful{AgentDisk: d} }}
		}, "which it was not told to run"},
		{"an agent that starts takes what it was not told for an order to run nothing", func() Broken {
			return Broken{Local: func(l masterlink.Local) masterlink.Local { return &hasty{Local: l} }}
		}, "which it was told to run and never to stop"},
		{"an agent reports a pod as gone when it is to end, not when it has ended", func() Broken {
			return Broken{Local: func(l masterlink.Local) masterlink.Local { return &boastful{Local: l} }}
		}, "still runs"},
		{"the master's disk loses one write in thirty", func() Broken {
			n := 0
			return Broken{MasterDisk: func() bool { n++; return n%30 != 0 }}
		}, "was acknowledged and is lost"},
		{"what the broker says again is taken for new", func() Broken {
			return Broken{Replays: true}
		}, "has had no agent for"},
		{"statuses are taken for pods by name", func() Broken {
			return Broken{Packet: byName}
		}, "speaks of container"},
		{"the ReplicaSet controller misses one event in thirty", func() Broken {
			return Broken{Planner: func(p reconcile.Planner) reconcile.Planner {
				if p.Name() != "replicaset" {
					return p
				}
				return &inattentive{Planner: p}
			}}
		}, ""},
		{"the node controller does not know that the master's own line is down", func() Broken {
			return Broken{Planner: func(p reconcile.Planner) reconcile.Planner {
				if p.Name() != "node" {
					return p
				}
				return &selfless{p}
			}}
		}, "the master has no broker"},
		{"the scheduler takes every node for Ready", func() Broken {
			return Broken{Planner: func(p reconcile.Planner) reconcile.Planner {
				if p.Name() != "scheduler" {
					return p
				}
				return &trusting{p}
			}}
		}, "is bound to"},
	} {
		t.Run(test.mistake, func(t *testing.T) {
			for seed := int64(1); seed <= most; seed++ {
				o := options(seed)
				o.Broken = test.broken()
				err := play(o).Failure()
				if err == nil {
					continue
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Logf("seed %d: %.300v", seed, err)
					continue // a consequence; the cause itself must be named, too
				}
				t.Logf("noticed by seed %d: %.200v", seed, err)
				return
			}
			t.Errorf("%d seeds do not notice it", most)
		})
	}
}

// forgetful keeps one desired state in three.
type forgetful struct {
	AgentDisk
	asked int
}

func (f *forgetful) KeepDesired(position message.Position, digest message.Digest, content []byte) error {
	if f.asked++; f.asked%3 == 1 {
		return f.AgentDisk.KeepDesired(position, digest, content)
	}
	return nil
}

func (f *forgetful) KeepPosition(message.Position) error { return nil }

// hasty tells the node to run nothing before it has heard anything.
type hasty struct {
	masterlink.Local
	said bool
}

func (h *hasty) Statuses() (uint64, []message.PodStatus) {
	if !h.said {
		h.said = true
		h.Accept(message.Content{})
	}
	return h.Local.Statuses()
}

// boastful calls a pod gone as soon as it is to end.
type boastful struct {
	masterlink.Local
	ending map[string]bool
}

func (b *boastful) Accept(content message.Content) {
	b.ending = map[string]bool{}
	for _, data := range content.Pods {
		pod := &corev1.Pod{}
		if pod.Unmarshal(data) == nil && pod.DeletionTimestamp != nil {
			b.ending[string(pod.UID)] = true
		}
	}
	b.Local.Accept(content)
}

func (b *boastful) Statuses() (uint64, []message.PodStatus) {
	version, pods := b.Local.Statuses()
	out := make([]message.PodStatus, len(pods))
	for i, p := range pods {
		p.Gone = p.Gone || b.ending[p.UID]
		out[i] = p
	}
	return version, out
}

// byName gives every status the uid of the pod that has the name now.
func byName(w *World, p bus.Packet) bus.Packet {
	if channel(p.Topic) != "status" || w.master.dead {
		return p
	}
	name, _, _ := w.topics.Parse(p.Topic)
	keys := w.node(name).keys
	envelope, err := keys.Master().Open(p.Topic, w.master.self, p.Payload)
	if err != nil {
		return p
	}
	status, err := message.Decode[message.Status](envelope.Body)
	if err != nil {
		return p
	}
	for i := range status.Pods {
		if rec, ok := w.master.store.View().Get(resource.Pods.Key(status.Pods[i].Namespace, status.Pods[i].Name)); ok {
			status.Pods[i].UID = string(w.pod(rec).UID)
		}
	}
	p.Payload = keys.Box().Seal(p.Topic, envelope.Sender, w.master.self, envelope.Sequence, message.Encode(status))
	return p
}

// inattentive misses events.
type inattentive struct {
	reconcile.Planner
	seen int
}

func (i *inattentive) Observe(e change.Event) {
	if i.seen++; i.seen%30 != 0 {
		i.Planner.Observe(e)
	}
}

// selfless takes the master's own connection for one that always works.
type selfless struct{ reconcile.Planner }

func (s *selfless) Reset(view change.View) {
	s.Planner.Reset(view)
	s.Planner.Observe(works)
}

func (s *selfless) Observe(e change.Event) {
	if e.Key.Name != resource.LinkName {
		s.Planner.Observe(e)
	}
}

// works is a record of a connection that has been up for ever and will be.
var works = change.Event{
	Key: change.Key{Kind: resource.SeenKind, Name: resource.LinkName},
	New: change.Record{Rev: 1, Value: resource.EncodeSeen(resource.Seen{HeardBoot: 1, Online: true, ProofBoot: 1<<63 - 1})},
}

// trusting sees every node that is not Ready as it would be if it were.
type trusting struct{ reconcile.Planner }

func (s *trusting) Observe(e change.Event) {
	if e.Key.Kind == resource.Nodes.Kind && e.New.Exists() {
		if object, err := resource.As[*corev1.Node](resource.Nodes, e.New); err == nil {
			object.Spec.Taints = nil
			if c := resource.NodeCondition(object, corev1.NodeReady); c != nil {
				c.Status = corev1.ConditionTrue
			}
			if value, err := resource.Encode(object); err == nil {
				e.New.Value = value
			}
		}
	}
	s.Planner.Observe(e)
}
