package peer

import (
	"slices"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Snapshot is what the node says of itself now. Nobody changes what it points to.
type Snapshot struct {
	Version  uint64 // changes whenever Pods do
	Node     []byte // corev1.Node as protobuf
	Pods     []message.PodStatus
	Readings message.Readings
	Events   []message.Event // since the last snapshot
	Asks     bool            // the node needs a permit
	Waits    uint64          // changes when another pod begins to wait for one
	Released []string        // pods that the master asked about and of which nothing is left, since the last snapshot
}

// report is what the master was last told. Its zero value has told nothing.
type report struct {
	complete bool   // a complete status is due
	echo     uint64 // the welcome's challenge, which every complete status repeats
	sentAt   clock.Now
	at       clock.Now // when a change that waits for statusGap goes out; Never: none does

	version uint64
	node    message.Digest
	pods    map[string]message.Digest // by uid
	digest  message.Digest            // of everything
	events  []message.Event
}

// restart forgets all but the events.
func (r *report) restart() { *r = report{at: clock.Never, events: r.events} }

// collect keeps the newest events for the next status.
func (r *report) collect(events []message.Event) {
	r.events = append(r.events, events...)
	if extra := len(r.events) - message.MaxEvents; extra > 0 {
		r.events = slices.Delete(r.events, 0, extra)
	}
}

// sendStatus sends a complete status when one is due, and otherwise what has changed since the last one.
func (p *Peer) sendStatus(now clock.Now, node Snapshot) []Effect {
	r := &p.report
	r.at = clock.Never
	if !p.welcomed {
		return nil
	}
	if !r.complete {
		if r.version == node.Version && r.node == message.DigestOf(node.Node) && len(r.events) == 0 {
			return nil
		}
		if due := r.sentAt.Add(statusGap); !now.Reached(due) {
			r.at = due
			return nil
		}
	}
	status := r.next(node)
	if !status.Complete && status.Digest == status.Base && len(status.Events) == 0 {
		return nil
	}
	r.sentAt = now
	return []Effect{Send{Channel: protocol.Status, QoS: 1, Message: status}}
}

// next writes the status that brings the master up to date, and remembers that it was written.
func (r *report) next(node Snapshot) message.Status {
	status := message.Status{
		Complete: r.complete,
		Digest:   message.StatusDigest(node.Node, node.Pods),
		Events:   r.events,
	}
	if r.complete {
		status.Echo = r.echo
	} else {
		status.Base = r.digest
	}
	if digest := message.DigestOf(node.Node); r.complete || digest != r.node {
		status.Node, r.node = node.Node, digest
	}
	pods := make(map[string]message.Digest, len(node.Pods))
	for _, pod := range node.Pods {
		pods[pod.UID] = message.StatusDigest(pod.Status, []message.PodStatus{{Gone: pod.Gone}})
		if r.complete || pods[pod.UID] != r.pods[pod.UID] {
			status.Pods = append(status.Pods, pod)
		}
	}
	r.complete, r.version, r.pods, r.digest, r.events = false, node.Version, pods, status.Digest, nil
	return status
}
