package nodelink

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// maxQuestions bounds the pods that one message asks about.
const maxQuestions = 64

// asker is a node as its permits have it, in its current run; false when it has no object or no run.
func (l *Link) asker(name string, ask uint64) (permit.Asker, bool) {
	n, k := l.nodes[name], l.keys[name]
	if n == nil || k == nil || n.peer.Run().IsZero() || k.record.Node == "" || k.record.Revoked != 0 {
		return permit.Asker{}, false
	}
	return permit.Asker{
		Name: name, Holder: k.record.Node, Boot: n.peer.Boot(), Ask: ask, Lasts: permit.Lasts(l.paces.slowest(name)),
	}, true
}

// grantPermits ends what has ended, answers the nodes that asked, and those whose pods wait for a slot that has become
// free. It returns when the next permit will have ended.
func (l *Link) grantPermits(now clock.Now) (next clock.Now, err error) {
	if !l.elsewhere() {
		l.permits.Alone(now)
	}
	l.permits.Apart(l.config.Apart != nil && l.config.Apart())
	ended, next := l.permits.Expire(now)
	if err := l.writeSlots(ended); err != nil {
		return next, err
	}
	for _, name := range slices.Sorted(maps.Keys(l.asking)) {
		from, ok := l.asker(name, l.asking[name])
		if !ok {
			continue
		}
		if err := l.grant(now, l.permits.Ask(l.config.Store.View(), now, from)); err != nil {
			return next, err
		}
	}
	clear(l.asking)
	for _, name := range slices.Sorted(maps.Keys(l.curious)) {
		if from, ok := l.asker(name, 0); ok {
			l.askAboutSlots(now, from)
		}
	}
	clear(l.curious)
	for _, name := range l.permits.Again(now) {
		a, more := l.permits.AnswerAgain(l.config.Store.View(), now, name)
		if !more {
			l.tellWaits(now, a)
			continue
		}
		if err := l.grant(now, a); err != nil {
			return next, err
		}
	}
	l.metrics.slots.Set(float64(l.config.Store.View().Count(resource.SlotKind)))
	return next, nil
}

// longestPermit is the longest that this master may grant, or, as far as the store says, an earlier one has granted.
func (l *Link) longestPermit() time.Duration {
	view, longest := l.config.Store.View(), permit.Lasts(l.config.Settings)
	for rec := range view.List(resource.SlotKind, "") {
		if s, err := resource.DecodeSlot(rec.Value); err == nil {
			longest = max(longest, s.Lasts())
		}
	}
	for rec := range view.List(resource.Nodes.Kind, "") {
		if meta, err := resource.Meta(rec.Value); err == nil && resource.Metered(meta.Labels) {
			longest = max(longest, permit.Lasts(desired.Paced(l.config.Settings, true)))
		}
	}
	return longest
}

func (l *Link) elsewhere() bool { return l.config.Elsewhere != nil && l.config.Elsewhere() }

// obeys notes that a node has proven its run to this master.
func (l *Link) obeys(now clock.Now, name string) {
	if from, ok := l.asker(name, 0); ok {
		l.permits.Heard(now, name, from.Holder)
	}
}

// noteRunning tells the permits which pods run, as long as they want to know.
func (l *Link) noteRunning(now clock.Now, name string, status message.Status) {
	if !l.permits.Doubts(now) {
		return
	}
	for _, p := range status.Pods {
		var s corev1.PodStatus
		runs := !p.Gone && s.Unmarshal(p.Status) == nil && slices.ContainsFunc(slices.Concat(s.InitContainerStatuses, s.ContainerStatuses),
			func(c corev1.ContainerStatus) bool { return c.State.Running != nil })
		l.permits.Runs(name, types.UID(p.UID), runs)
	}
}

// grant writes the records of an answer, and only then lets the node have it.
func (l *Link) grant(now clock.Now, a permit.Answer) error {
	l.tellWaits(now, a)
	n := l.nodes[a.To.Name]
	if n == nil {
		return nil
	}
	if err := l.commitSlots(a.Changes); err != nil {
		l.log.Error().Err(err).Str("node", a.To.Name).Msg("slots not written; the node is not permitted to run anything new")
		return nil // it asks again
	}
	if err := l.followStore(); err != nil {
		return err
	}
	// The clock is read anew: the node may have sent its heartbeat after this Step began, or the disk have taken long.
	l.request(a.To.Name, n.current, message.Request{Grant: &a.Grant})
	l.permits.Sent(l.config.Clock(), a)
	l.metrics.grants.Inc()
	return nil
}

func (l *Link) tellWaits(now clock.Now, a permit.Answer) {
	for _, w := range a.Waits {
		l.log.Info().Str("pod", w.Pod.Namespace+"/"+w.Pod.Name).Str("node", a.To.Name).Str("reason", w.Reason).Msg("pod waits for its slot")
		l.tellPod(now, w.Pod, w.UID, "WaitingForSlot", "Not permitted to run on node "+a.To.Name+" yet: "+w.Reason)
	}
}

// askAboutSlots asks a node what has become of pods that hold a slot there and are not in the store any more.
func (l *Link) askAboutSlots(now clock.Now, from permit.Asker) {
	uids := l.permits.Questions(now, from, l.paces.slowest(from.Name).Heartbeat())
	if len(uids) == 0 {
		return
	}
	r := message.Release{}
	for _, uid := range uids[:min(len(uids), maxQuestions)] {
		r.Pods = append(r.Pods, string(uid))
	}
	l.request(from.Name, l.nodes[from.Name].current, message.Request{Release: &r})
}

// released takes in that a node has let go of pods.
func (l *Link) released(name string, pods []string) {
	if from, ok := l.asker(name, 0); ok {
		if err := l.writeSlots(l.permits.Released(from, pods)); err != nil {
			l.log.Error().Err(err).Msg("the store can't be followed") // the next Step says so, too
		}
	}
}

// writeSlots writes what has ended, and takes it in. What can't be written ends later.
func (l *Link) writeSlots(changes []change.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := l.commitSlots(changes); err != nil {
		l.log.Error().Err(err).Int("slots", len(changes)).Msg("slots not set free")
	}
	return l.followStore()
}

func (l *Link) commitSlots(changes []change.Change) error {
	if len(changes) == 0 {
		return nil
	}
	for _, c := range changes {
		l.log.Info().Str("slot", c.Key.Namespace+"/"+resource.SlotName(c.Key)).Bool("ended", c.Deletes()).Str("reason", c.Reason).Msg("slot changed")
	}
	_, err := l.config.Store.Commit(context.Background(), changes)
	return err
}

// tellPod records a warning about a pod, if it is still the one.
func (l *Link) tellPod(now clock.Now, key change.Key, uid types.UID, reason, text string) {
	rec, ok := l.config.Store.View().Get(key)
	if !ok {
		return
	}
	if meta, err := resource.Meta(rec.Value); err != nil || meta.UID != uid {
		return
	}
	l.record(now, resource.Occurrence{
		About: resource.Pods.Reference(key.Namespace, key.Name, uid), Type: corev1.EventTypeWarning, Reason: reason, Message: text,
		Component: component,
	})
}
