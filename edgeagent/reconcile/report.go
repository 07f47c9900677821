package reconcile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// publish makes the plan's statuses and events visible. Pods that the plan has left alone keep their status.
func (r *Reconciler) publish(p plan.Plan, now clock.Now) {
	next := map[string]message.PodStatus{}
	for _, s := range r.statuses {
		if r.memories[s.UID] != nil {
			next[s.UID] = s
		}
	}
	for i := range p.Pods {
		s := &p.Pods[i]
		encoded, err := s.Status.Marshal()
		if err != nil {
			r.cfg.Log.Error().Err(err).Str("pod", s.UID).Msg("a status does not encode") // a type is wrong
			continue
		}
		next[s.UID] = message.PodStatus{UID: s.UID, Namespace: s.Namespace, Name: s.Name, Status: encoded, Gone: s.Gone}
	}
	statuses := make([]message.PodStatus, 0, len(next))
	for _, s := range next {
		statuses = append(statuses, s)
	}
	slices.SortFunc(statuses, func(a, b message.PodStatus) int { return strings.Compare(a.UID, b.UID) })

	r.mu.Lock()
	changed := r.version == 0 || !slices.EqualFunc(statuses, r.statuses, same)
	if changed {
		r.version++
		r.statuses = statuses
	}
	for i := range p.Pods {
		for _, e := range p.Pods[i].Events {
			r.events.add(event(p.Pods[i].UID, p.Pods[i].Namespace, p.Pods[i].Name, e, now))
			changed = true
		}
	}
	r.mu.Unlock()
	if changed {
		r.cfg.Changed()
	}
}

func same(a, b message.PodStatus) bool {
	return a.UID == b.UID && a.Namespace == b.Namespace && a.Name == b.Name && a.Gone == b.Gone && bytes.Equal(a.Status, b.Status)
}

// note tells an event from within an action.
func (r *Reconciler) note(podUID string, e pod.Event) {
	r.mu.Lock()
	for _, s := range r.statuses {
		if s.UID == podUID {
			r.events.add(event(podUID, s.Namespace, s.Name, e, r.cfg.Clock()))
		}
	}
	r.mu.Unlock()
	r.cfg.Changed()
}

func event(uid, namespace, name string, e pod.Event, now clock.Now) message.Event {
	out := message.Event{UID: uid, Namespace: namespace, Name: name, Warning: e.Warning, Reason: e.Reason, Message: e.Message, Count: 1, Time: now.Wall.Unix()}
	if e.Container != "" {
		out.FieldPath = "spec.containers{" + e.Container + "}"
	}
	return out
}

// maxWaiting bounds the events that wait for a master; beyond it the oldest are forgotten.
const maxWaiting = 256

// maxText bounds one event's message, as Kubernetes does (1 KiB).
const maxText = 1024

// eventQueue holds events until they are sent, the same ones counted together.
type eventQueue struct{ waiting []message.Event }

func (q *eventQueue) add(e message.Event) {
	if len(e.Message) > maxText {
		e.Message = strings.ToValidUTF8(e.Message[:maxText], "")
	}
	for i := range q.waiting {
		old := q.waiting[i]
		old.Count, old.Time = e.Count, e.Time
		if old == e {
			q.waiting[i].Count++
			q.waiting[i].Time = e.Time
			return
		}
	}
	if len(q.waiting) >= maxWaiting {
		q.waiting = q.waiting[1:]
	}
	q.waiting = append(q.waiting, e)
}

func (q *eventQueue) take(most int) []message.Event {
	n := min(most, len(q.waiting))
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
}
