package nodelink

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Limits of a commit of reports.
const (
	maxBatch    = 256 // pods, about
	maxAttempts = 5   // at a batch that somebody else's writes conflict with
)

// report is a status to be written.
type report struct {
	node   string
	key    [32]byte // that it was sealed with
	boot   string   // boot id of its run
	status message.Status
}

// writeReports commits the statuses of this Step. What can't be committed is asked for again: the next
// heartbeat of its node fetches a complete status.
func (l *Link) writeReports(now clock.Now) {
	reports := l.reports
	l.reports = nil
	for len(reports) > 0 {
		size, pods := 0, 0
		for size < len(reports) && pods < maxBatch {
			pods += 1 + len(reports[size].status.Pods)
			size++
		}
		if err := l.writeBatch(now, reports[:size]); err != nil {
			l.log.Error().Err(err).Int("reports", size).Msg("statuses not written")
			for _, r := range reports[:size] {
				if n := l.nodes[r.node]; n != nil {
					n.peer.Forget()
				}
			}
		}
		reports = reports[size:]
	}
}

func (l *Link) writeBatch(now clock.Now, reports []report) error {
	for attempt := 1; ; attempt++ {
		b := newBatch(l.config.Store.View())
		for _, r := range reports {
			l.apply(b, now, r)
		}
		changes := b.changes()
		if len(changes) == 0 {
			return nil
		}
		_, err := l.config.Store.Commit(context.Background(), changes)
		if err == nil || !errors.Is(err, store.ErrConflict) || attempt == maxAttempts {
			return err
		}
	}
}

// apply adds to the batch what a report changes. A part that doesn't decode is left out; the rest counts.
func (l *Link) apply(b *batch, now clock.Now, r report) {
	record, _, err := nodeKey(b, r.node)
	if err != nil || record.Revoked != 0 || r.key != record.Key && r.key != record.Next {
		l.log.Info().Err(err).Str("node", r.node).Msg("report of a node refused: its key has changed meanwhile")
		return
	}
	if err := applyNode(b, now, r); err != nil {
		l.log.Warn().Err(err).Str("node", r.node).Msg("report of a node refused")
	}
	for _, p := range r.status.Pods {
		if p.Gone {
			l.applyGone(b, record, r, p)
		}
		if err := applyPod(b, r.node, p); err != nil {
			l.log.Warn().Err(err).Str("node", r.node).Str("pod", p.Namespace+"/"+p.Name).Msg("report of a pod refused")
		}
	}
	for i, e := range r.status.Events {
		if i == message.MaxEvents {
			break
		}
		if err := applyEvent(b, now, r.node, e); err != nil {
			l.log.Warn().Err(err).Str("node", r.node).Str("pod", e.Namespace+"/"+e.Name).Msg("event of a pod refused")
		}
	}
}

// applyNode writes the node's status and labels. The first complete report of a node that has joined creates the
// object, which belongs to the node's key from then on: when it is deleted, the key is no longer good.
func applyNode(b *batch, now clock.Now, r report) error {
	key := resource.Nodes.Key("", r.node)
	rec, exists := b.Get(key)
	if !exists && !r.status.Complete || exists && len(r.status.Node) == 0 {
		return nil
	}
	var reported corev1.Node
	if err := reported.Unmarshal(r.status.Node); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:              r.node,
		UID:               resource.DeriveUID(fmt.Sprintf("node %s %s", r.node, b.Rev())),
		CreationTimestamp: metav1.NewTime(now.Wall.Truncate(time.Second)),
	}}
	reason := "the node has joined"
	if exists {
		var err error
		if node, err = resource.As[*corev1.Node](resource.Nodes, rec); err != nil {
			return err
		}
		reason = "the node's status"
	}
	if mayReport, err := own(b, node, exists); err != nil || !mayReport {
		return err
	}
	mergeNode(node, &reported)
	value, err := resource.Encode(node)
	if err != nil {
		return err
	}
	b.put(change.Change{Key: key, Base: rec.Rev, Value: value, Reason: reason})
	return nil
}

// nodeKey is what the batch knows of a node's key.
func nodeKey(b *batch, node string) (resource.NodeKey, change.Record, error) {
	rec, _ := b.Get(change.Key{Kind: resource.NodeKeyKind, Name: node})
	if !rec.Exists() {
		return resource.NodeKey{}, rec, errors.New("it has none")
	}
	record, err := resource.DecodeNodeKey(rec.Value)
	return record, rec, err
}

// own reports whether the node's object is the one that belongs to its key, and makes it so if none did before.
func own(b *batch, node *corev1.Node, exists bool) (bool, error) {
	record, rec, err := nodeKey(b, node.Name)
	if err != nil || record.Node != "" {
		return exists && record.Node == node.UID, err
	}
	record.Node = node.UID
	b.put(change.Change{Key: rec.Key, Base: rec.Rev, Value: resource.EncodeNodeKey(record), Reason: "the node has an object"})
	return true, nil
}

// boundPod is the pod with this uid if it is bound to the node: a report about any other one says nothing.
func boundPod(b *batch, node string, key change.Key, uid string) (*corev1.Pod, change.Record, error) {
	rec, exists := b.Get(key)
	if !exists {
		return nil, rec, nil
	}
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil || string(pod.UID) != uid || pod.Spec.NodeName != node {
		return nil, rec, err
	}
	return pod, rec, nil
}

// applyGone ends the record of a single pod of which nothing is left.
func (l *Link) applyGone(b *batch, key resource.NodeKey, r report, p message.PodStatus) {
	from := permit.Asker{Name: r.node, Holder: key.Node, Boot: r.boot}
	if c := l.permits.Gone(from, types.UID(p.UID)); c != nil {
		b.put(*c)
	}
}

// applyPod writes a pod's status, and deletes a pod that was to be deleted and of which nothing is left.
func applyPod(b *batch, node string, p message.PodStatus) error {
	key := resource.Pods.Key(p.Namespace, p.Name)
	pod, rec, err := boundPod(b, node, key, p.UID)
	if pod == nil {
		return err
	}
	if p.Gone && pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0 {
		b.put(change.Change{Key: key, Base: rec.Rev, Reason: "nothing of the pod is left on its node"})
		return nil
	}
	if p.Gone && pod.DeletionTimestamp != nil {
		pod.DeletionGracePeriodSeconds = new(int64) // whoever removes the last finalizer deletes the pod
	}
	if len(p.Status) > 0 {
		var reported corev1.PodStatus
		if err := reported.Unmarshal(p.Status); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		mergePod(pod, &reported)
	}
	value, err := resource.Encode(pod)
	if err != nil {
		return err
	}
	b.put(change.Change{Key: key, Base: rec.Rev, Value: value, Reason: "the pod's status"})
	return nil
}

// applyEvent records something that happened to a pod. Its time is the master's: nodes wake up in 1970.
func applyEvent(b *batch, now clock.Now, node string, e message.Event) error {
	pod, _, err := boundPod(b, node, resource.Pods.Key(e.Namespace, e.Name), e.UID)
	if pod == nil {
		return err
	}
	about := resource.Pods.Reference(e.Namespace, e.Name, pod.UID)
	about.FieldPath = e.FieldPath
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	write, err := resource.RecordEvent(b, resource.Occurrence{
		About: about, Type: kind, Reason: e.Reason, Message: e.Message, Component: "skerry-agent", Host: node,
	}, now.Wall.Add(time.Duration(len(b.order))*time.Microsecond)) // their order is that of the report
	if err != nil {
		return err
	}
	if e.Count > 1 {
		event, err := resource.As[*corev1.Event](resource.Events, change.Record{Key: write.Key, Value: write.Value})
		if err != nil {
			return err
		}
		event.Count += int32(min(e.Count, 1<<20)) - 1
		if write.Value, err = resource.Encode(event); err != nil {
			return err
		}
	}
	b.put(write)
	return nil
}
