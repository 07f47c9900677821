package sim

import (
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// mistake is a part that is wrong. Whoever builds a part that must not fail in some way adds the way here: a line that
// says what is wrong, the seam that makes it so, and the invariant that has to name it.
type mistake struct {
	what   string
	broken func() Broken // a new one for each world, for what counts
	want   string        // part of what the world says; empty: whatever it says
	seeds  int           // after how many it must be noticed; 0: mostSeeds
}

// mostSeeds is how many seeds a mistake may need.
const mostSeeds = 150

// planner plants a mistake in one of the master's planners.
func planner(name string, wrap func(reconcile.Planner) reconcile.Planner) func() Broken {
	return func() Broken {
		return Broken{Planner: func(p reconcile.Planner) reconcile.Planner {
			if p.Name() != name {
				return p
			}
			return wrap(p)
		}}
	}
}

// mistakes are those that are planted.
var mistakes = []mistake{
	{"an agent's disk says that it keeps desired states, and keeps one in three", func() Broken {
		return Broken{AgentDisk: func(d AgentDisk) AgentDisk { return &forgetful{AgentDisk: d} }}
	}, "which it was not told to run", 0},
	{"an agent that starts takes what it was not told for an order to run nothing", func() Broken {
		return Broken{Local: func(l masterlink.Local) masterlink.Local { return &hasty{Local: l} }}
	}, "which it was told to run and never to stop", 0},
	{"an agent takes it for an order to run nothing that the broker retains nothing for it", func() Broken {
		return Broken{Connected: stopAll}
	}, "which it was told to run and never to stop", 0},
	{"an agent takes orders without a look at their epoch and serial", func() Broken {
		return Broken{OldOrders: true}
	}, "keeps old orders as new ones", 0},
	{"an agent reports a pod as gone when it is to end, not when it has ended", func() Broken {
		return Broken{Local: func(l masterlink.Local) masterlink.Local { return &boastful{Local: l} }}
	}, "still runs", 0},
	{"an agent leaves one pod in ten as it is when it is no longer to run", func() Broken {
		return Broken{Local: func(l masterlink.Local) masterlink.Local { return &clinging{Local: l} }}
	}, "which its desired state does not list", 0},
	{"the master's disk loses one write in thirty", func() Broken {
		n := 0
		return Broken{MasterDisk: func() bool { n++; return n%30 != 0 }}
	}, "was acknowledged and is lost", 0},
	{"what the broker says again is taken for new, as if windows were off and receivers not looked at", func() Broken {
		return Broken{Replays: true}
	}, "has had no agent for", 0},
	{"statuses are taken for pods by name, not by uid", func() Broken {
		return Broken{Packet: byName}
	}, "speaks of container", 0},
	{"a status of a pod is dropped now and then, and its digest is right", func() Broken {
		return Broken{Packet: losesStatus()}
	}, "differs in the store", 0},
	{"the ReplicaSet controller misses one event in thirty",
		planner("replicaset", func(p reconcile.Planner) reconcile.Planner { return &inattentive{Planner: p} }), "", 0},
	{"the node controller does not know that the master's own line is down",
		planner("node", func(p reconcile.Planner) reconcile.Planner { return &selfless{p} }), "the master has no broker", 0},
	{"the node controller gives no node a fresh node-timeout when the master starts", func() Broken {
		return Broken{NoFreshTimeout: true, Planner: func(p reconcile.Planner) reconcile.Planner {
			if p.Name() != "node" {
				return p
			}
			return &remembering{p}
		}}
	}, "the master has just started", 0},
	{"the node controller takes twice the node-timeout",
		planner("node", func(p reconcile.Planner) reconcile.Planner { return &patient{Planner: p} }), "was not heard", 0},
	{"the scheduler takes every node for Ready",
		planner("scheduler", func(p reconcile.Planner) reconcile.Planner { return &trusting{p} }), "is bound to", 0},
	{"the scheduler plans once in half a minute",
		planner("scheduler", func(p reconcile.Planner) reconcile.Planner { return &lazy{Planner: p} }), "is not bound", 0},
}

var table = flag.Bool("table", false, "print what notices which mistake as the table of docs/simulation.md")

// TestBrokenPartsAreNoticed plants one mistake at a time and plays seeds until an invariant breaks that names it.
func TestBrokenPartsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no mistakes are planted; this is about the simulation, not about Skerry")
	}
	if underRace {
		t.Skip("-race: no mistakes are planted, for a world is one goroutine; make test plants them without the detector")
	}
	all := slices.Concat(mistakes, permitMistakes)
	rows := make([]string, len(all))
	for i, m := range all {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			rows[i] = m.plant(t)
		})
	}
	t.Cleanup(func() {
		if *table {
			fmt.Printf("| planted mistake | what notices it | by seed |\n| --- | --- | --- |\n%s", strings.Join(rows, ""))
		}
	})
}

// uids are what says nothing to a reader of the table.
var uids = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)

// plant plays seeds until the mistake is noticed, and returns its row of the table.
func (m mistake) plant(t *testing.T) string {
	most := m.seeds
	if most == 0 {
		most = mostSeeds
	}
	for seed := int64(1); seed <= int64(most); seed++ {
		o := options(seed)
		if m.want == twice || strings.Contains(m.want, "guard") || strings.Contains(m.want, "goes back") {
			o = aboutPermits(o)
		}
		if o.Nodes > 4 {
			continue // too slow for what small worlds show
		}
		o.Broken = m.broken()
		err := play(o).Failure()
		if err == nil {
			continue
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		if !strings.Contains(err.Error(), m.want) {
			t.Logf("seed %d: %.300s", seed, text)
			continue // a consequence; the cause itself must be named, too
		}
		_, said, _ := strings.Cut(text, ": ")
		t.Logf("noticed by seed %d: %.200s", seed, text)
		return fmt.Sprintf("| %s | %s | %d |\n", m.what, uids.ReplaceAllString(said, "…"), seed)
	}
	t.Errorf("%d seeds do not notice it", most)
	return fmt.Sprintf("| %s | nothing | more than %d |\n", m.what, most)
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
	return edited(w, p, func(status *message.Status) {
		for i := range status.Pods {
			if rec, ok := w.master.store.View().Get(resource.Pods.Key(status.Pods[i].Namespace, status.Pods[i].Name)); ok {
				status.Pods[i].UID = string(w.pod(rec).UID)
			}
		}
	})
}

// edited changes what a status says, and seals it again as its sender does.
func edited(w *World, p bus.Packet, change func(*message.Status)) bus.Packet {
	if channel(p.Topic) != protocol.Status || w.master.dead {
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
	change(&status)
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

// stopAll tells the agent to run nothing when the broker retains nothing for it.
func stopAll(w *World, l *line) {
	n := w.byName[l.id]
	if n == nil || n.agent == nil || n.agent.line != l {
		return
	}
	if w.bus.Retained(w.topics.Node(n.name, protocol.Desired)) == nil {
		n.agent.local.Accept(message.Content{})
	}
}

// clinging takes one pod in ten out of what is no longer to run.
type clinging struct {
	masterlink.Local
	listed map[string][]byte
	asked  int
}

func (c *clinging) Accept(content message.Content) {
	listed := map[string][]byte{}
	for _, data := range content.Pods {
		pod := &corev1.Pod{}
		if pod.Unmarshal(data) == nil && pod.DeletionTimestamp == nil {
			listed[string(pod.UID)] = data
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(c.listed)) {
		if listed[uid] != nil {
			continue
		}
		if c.asked++; c.asked%10 == 0 {
			listed[uid] = c.listed[uid]
			content.Pods = append(slices.Clone(content.Pods), c.listed[uid])
		}
	}
	c.listed = listed
	c.Local.Accept(content)
}

// losesStatus makes a node's message say nothing of a pod, as if it had.
func losesStatus() func(*World, bus.Packet) bus.Packet {
	seen := 0
	return func(w *World, p bus.Packet) bus.Packet {
		return edited(w, p, func(s *message.Status) {
			if seen++; seen%20 == 0 && len(s.Pods) > 0 && !s.Complete {
				s.Pods = s.Pods[1:]
			}
		})
	}
}

// remembering takes every node for one that was last heard before the master's start, and so much too long ago.
type remembering struct{ reconcile.Planner }

func (r *remembering) Reset(view change.View) {
	r.Planner.Reset(view)
	for rec := range view.List(resource.Nodes.Kind, "") {
		if _, heard := view.Get(change.Key{Kind: resource.SeenKind, Name: rec.Key.Name}); !heard {
			r.Planner.Observe(change.Event{
				Key: change.Key{Kind: resource.SeenKind, Name: rec.Key.Name},
				New: change.Record{Rev: 1, Value: resource.EncodeSeen(resource.Seen{HeardBoot: 1, Online: true})},
			})
		}
	}
}

// patient lets a node be silent for a node-timeout more: it sees what was heard later than it was.
type patient struct{ reconcile.Planner }

func (p *patient) Observe(e change.Event) {
	if e.Key.Kind == resource.SeenKind && e.Key.Name != resource.LinkName && e.New.Exists() {
		if seen, err := resource.DecodeSeen(e.New.Value); err == nil {
			seen.HeardBoot += 30 * time.Second
			seen.Online, seen.OfflineBoot = true, 0
			e.New.Value = resource.EncodeSeen(seen)
		}
	}
	p.Planner.Observe(e)
}

// lazy plans once in half a minute.
type lazy struct {
	reconcile.Planner
	last clock.Now
}

func (l *lazy) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	if next := l.last.Add(30 * time.Second); l.last != (clock.Now{}) && !now.Reached(next) {
		return nil, next
	}
	l.last = now
	return l.Planner.Plan(view, now)
}
