package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
)

// What may last how long, once nothing hinders it. Clocks are a twentieth off at most: see slack.
const (
	planTime   = 3 * time.Second  // planners, scheduling, a few packets
	startTime  = 30 * time.Second // of a container, with the pull of a slow image
	stopTime   = 30 * time.Second // beyond the grace: a stop that failed is tried again
	engineRest = 90 * time.Second // after an engine's fault, for what it has failed to be tried again
)

// slack is a time by the slowest of clocks.
func slack(d time.Duration) time.Duration { return d * 100 / 94 }

// health is how a node really is, by the right clock.
type health struct {
	heard    time.Duration // when the master last got a packet of its
	well     time.Duration // since when its agent runs and is connected, both ways
	engine   time.Duration // when its engine last had a fault, or lost a container; 0: never
	version  uint64        // of its statuses, and since when it is that
	since    time.Duration
	verified bool
}

// watched is what the watch remembers of the world as a whole.
type watched struct {
	fair   time.Duration // since when the master has a broker and the network has no weather
	master *master
	owed   map[string]time.Duration // since when something that must not last is so
	paid   map[string]bool
}

// glance is how often the watch looks. It keeps the time that things last, so it need not see every step.
func (w *World) glance() time.Duration {
	if w.options.Nodes > 20 {
		return 5 * time.Second
	}
	return time.Second
}

// heard notes what has reached the master.
func (w *World) heard(p bus.Packet) {
	if p.Up || p.Client != "master" {
		return
	}
	name, channel, ok := w.topics.Parse(p.Topic)
	if n := w.byName[name]; ok && n != nil && channel != protocol.Presence {
		n.health.heard = w.now
	}
}

// watch holds what the documents promise to come in time against the clock: each promise from when nothing that the
// documents except stands in its way any more.
func (w *World) watch() {
	if w.failure != nil {
		return
	}
	w.after(w.glance(), w.watch)
	w.lookAtAll()
	w.watched.paid = map[string]bool{}
	for _, n := range w.machines() {
		w.lookAt(n)
		w.watchStrangers(n)
		w.checkGuarded(n)
	}
	if w.master.down() {
		w.settleDebts()
		return
	}
	for _, n := range w.nodes {
		w.watchLoss(n)
		w.watchStatus(n)
	}
	w.watchPods()
	w.settleDebts()
}

// owe fails when it is called for longer than a limit, without a glance at which it was not, counted from a time at least.
func (w *World) owe(key string, from, limit time.Duration, format string, args ...any) {
	since, ok := w.watched.owed[key]
	if !ok {
		since = w.now
		w.watched.owed[key] = since
	}
	w.watched.paid[key] = true
	if lasts := w.now - max(since, from); lasts > limit+w.glance() {
		w.fail("%s for %s, %s is the most", fmt.Sprintf(format, args...), lasts, limit)
	}
}

// settleDebts forgets what is no longer owed.
func (w *World) settleDebts() {
	for key := range w.watched.owed {
		if !w.watched.paid[key] {
			delete(w.watched.owed, key)
		}
	}
}

func (w *World) lookAtAll() {
	m := w.master
	_, up := m.line.client.Connection()
	if m.down() || !up || w.isCut["master"] > 0 || w.now < w.brokerUp || w.now < w.hangs || w.weather != (weather{}) || m != w.watched.master || w.outranked() {
		w.watched.fair = w.now
	}
	w.watched.master = m
}

func (w *World) lookAt(n *node) {
	a := n.agent
	up := false
	if a != nil {
		_, up = a.line.client.Connection()
	}
	if a == nil || !up || w.now < a.frozen || w.isCut[n.name] > 0 || a.crashIn > 0 || n.cloned > 0 && w.now < n.cloned+memory {
		n.health.well = w.now
	}
}

// watchLoss: a node that is not heard becomes Unknown after the node-timeout, and its pods that could run elsewhere leave.
func (w *World) watchLoss(n *node) {
	fact := w.facts.nodes[n.name]
	from := max(n.health.heard, w.watched.fair)
	limit := slack(w.settings.Timeout() + w.settings.Heartbeat() + planTime)
	if fact != nil && w.now-from > limit && fact.ready == corev1.ConditionTrue {
		w.fail("%s is Ready and was not heard for %s, %s is the most", n.name, w.now-from, limit)
	}
}

// watchStrangers: an agent runs nothing for long that its desired state does not list.
func (w *World) watchStrangers(n *node) {
	if n.agent == nil || w.now < n.agent.frozen || w.now-n.health.engine < engineRest || n.disk.position == (message.Position{}) {
		return
	}
	running := n.containers()
	for _, uid := range slices.Sorted(maps.Keys(running)) {
		if ids := running[uid]; n.book.listed[uid] == nil {
			w.owe("stranger "+n.who()+uid, 0, slack(time.Minute)+stopTime, "%s runs %s, which its desired state does not list,", n.who(), ids[0])
		}
	}
}

// watchStatus: what an agent says of its pods is in the store within two heartbeats.
func (w *World) watchStatus(n *node) {
	if n.agent == nil {
		return
	}
	version, _ := n.agent.local.Statuses()
	h := &n.health
	if version != h.version {
		h.version, h.since, h.verified = version, w.now, false
	}
	limit := slack(2*w.slowest + planTime) // a node keeps the interval that it knows until it has met the master that leads now
	if h.verified || w.now-max(h.since, h.well, w.watched.fair) <= limit+w.glance() {
		return
	}
	h.verified = true
	for _, what := range n.differences() {
		w.fail("%s is well for %s, its statuses have not changed, and %s", n.name, w.now-max(h.well, w.watched.fair), what)
	}
}

// watchPods: pods are made, bound, started and ended in time.
func (w *World) watchPods() {
	fair := w.watched.fair
	open := w.openNodes()
	active := map[string]int{}
	// A single pod waits for the permit of the one before to end, and for all earlier ones after the start of a master.
	permits := w.permitsEnd()
	bound := map[*owner]int{}
	w.facts.each(func(p *podFact) {
		if p.single != nil && p.node != "" && !p.ended {
			bound[p.single.owner]++
		}
	})
	w.facts.each(func(p *podFact) {
		extra := time.Duration(0)
		if p.single != nil {
			extra = permits
		}
		if !p.ended && p.deleted == 0 {
			active[p.app]++
		}
		if p.node == "" {
			if open > 0 && !p.ended && p.deleted == 0 && p.selects == "" {
				w.owe("unbound "+p.uid, fair, slack(planTime), "pod %s is not bound, and %d nodes are open to it,", p.name, open)
			}
			return
		}
		n := w.byName[p.node]
		if n == nil || n.gone {
			return
		}
		lost := w.now-max(n.health.heard, fair) > slack(w.settings.Timeout()+w.settings.Heartbeat()+planTime)
		switch {
		case lost && p.single != nil && p.single.pinned: // only its node can say that it is gone
		case lost && (p.deleted > 0 || p.controlled && open > 0):
			w.owe("left "+p.uid, fair, slack(planTime+extra), "pod %s is on %s, which is lost, and could run elsewhere,", p.name, n.name)
		case w.now-n.health.well < w.glance() || n.health.engine > 0 && w.now-n.health.engine < engineRest:
		case p.deleted > 0:
			w.owe("ending "+p.uid, max(fair, n.health.well), slack(p.grace)+stopTime, "pod %s on %s is Terminating", p.name, n.name)
		case p.single != nil && p.single.hindered(p.uid, bound[p.single.owner]): // by pods that may run
		case !p.ready && !p.ended && p.program != "sleep" && n.health.engine == 0:
			met := fair + slack(w.slowest) // its node says hello to a new master within an interval
			w.owe("starting "+p.uid, max(met, n.health.well), slack(startTime+extra), "pod %s on %s is not Ready", p.name, n.name)
		}
	})
	w.facts.eachDeployment(func(name string, d *deploymentFact) {
		if least := d.replicas - d.replicas/4; active[name] < least && !d.single {
			w.owe("few "+name, max(fair, d.since), slack(planTime), "deployment %s has %d pods, and %d are the least,", name, active[name], least)
		}
	})
}

// openNodes are the nodes that take pods, for some time.
func (w *World) openNodes() (count int) {
	for _, n := range w.nodes {
		if fact := w.facts.nodes[n.name]; fact != nil && fact.open > 0 && w.now-fact.open > w.glance() && w.now-n.health.heard < w.settings.Heartbeat() {
			count++
		}
	}
	return count
}

// differences says where the store has other statuses than the agent.
func (n *node) differences() (out []string) {
	bound := map[string]*corev1.Pod{}
	for rec := range n.w.master.store.View().Indexed(resource.Pods.Kind, "spec.nodeName", n.name) {
		p := n.w.pod(rec)
		bound[string(p.UID)] = p
	}
	_, statuses := n.agent.local.Statuses()
	for _, s := range statuses {
		p := bound[s.UID]
		var status corev1.PodStatus
		if p == nil || s.Gone {
			continue
		}
		if err := status.Unmarshal(s.Status); err != nil {
			n.w.fail("%s: a status does not decode: %w", n.name, err)
			continue
		}
		if diff := differs(&status, p); diff != "" {
			out = append(out, fmt.Sprintf("the status of %s differs in the store:\n%s", s.Name, diff))
		}
	}
	return out
}
