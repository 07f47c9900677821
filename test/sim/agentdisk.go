package sim

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/protocol/message"
)

// AgentDisk is what the loops of an agent need of a disk.
type AgentDisk interface {
	Desired() (position message.Position, digest message.Digest, content []byte, err error)
	KeepDesired(position message.Position, digest message.Digest, content []byte) error
	KeepPosition(position message.Position) error
	Epoch() (message.Epoch, error)
	KeepEpoch(epoch message.Epoch) error
	Records() (map[string][]byte, error)
	KeepRecords(records map[string][]byte) error
}

// agentDisk is a node's disk: it keeps what it is given.
type agentDisk struct {
	runs     uint32
	position message.Position
	digest   message.Digest
	content  []byte
	epoch    message.Epoch
	records  map[string][]byte
	writes   atomic.Int64
}

func newAgentDisk() *agentDisk { return &agentDisk{records: map[string][]byte{}} }

func (d *agentDisk) Desired() (message.Position, message.Digest, []byte, error) {
	return d.position, d.digest, d.content, nil
}

func (d *agentDisk) KeepDesired(position message.Position, digest message.Digest, content []byte) error {
	d.writes.Add(1)
	d.position, d.digest, d.content = position, digest, slices.Clone(content)
	return nil
}

func (d *agentDisk) KeepPosition(position message.Position) error {
	d.writes.Add(1)
	d.position = position
	return nil
}

func (d *agentDisk) Epoch() (message.Epoch, error) { return d.epoch, nil }

func (d *agentDisk) KeepEpoch(epoch message.Epoch) error {
	d.writes.Add(1)
	d.epoch = epoch
	return nil
}

func (d *agentDisk) Records() (map[string][]byte, error) { return maps.Clone(d.records), nil }

func (d *agentDisk) KeepRecords(records map[string][]byte) error {
	d.writes.Add(1)
	for uid, data := range records {
		if data == nil {
			delete(d.records, uid)
		} else {
			d.records[uid] = data
		}
	}
	return nil
}

// processDisk is the disk as one process of the agent sees it: the process may crash at each write, and what it
// was told to be kept is remembered.
type processDisk struct {
	AgentDisk
	a *agent
}

func (d *processDisk) write(what string, do func() error) error {
	if err := d.a.touch(what, do); err != nil {
		return err
	}
	return nil
}

func (d *processDisk) KeepDesired(position message.Position, digest message.Digest, content []byte) error {
	return d.write("keep the desired state", func() error {
		d.a.node.w.log(d.a.node.who(), "keeps desired state %s %s", position, mark(content))
		err := d.AgentDisk.KeepDesired(position, digest, content)
		if err == nil {
			d.a.node.accept(position, content)
		}
		return err
	})
}

func (d *processDisk) KeepPosition(position message.Position) error {
	return d.write("keep the position", func() error { return d.AgentDisk.KeepPosition(position) })
}

func (d *processDisk) KeepEpoch(epoch message.Epoch) error {
	return d.write("keep the epoch", func() error { return d.AgentDisk.KeepEpoch(epoch) })
}

func (d *processDisk) KeepRecords(records map[string][]byte) error {
	return d.write("keep records", func() error { return d.AgentDisk.KeepRecords(records) })
}

// book is what a node was told to run.
type book struct {
	listed  map[string]*corev1.Pod   // by uid, in the newest desired state
	allowed map[string]time.Duration // when a pod was last listed as one to run
	dropped map[string]bool          // was not listed, or as one to end, since it was last started

	told     map[message.Position]string // marks of what was ever sent as its desired state
	position message.Position            // of what is on the disk
}

func newBook() book {
	return book{listed: map[string]*corev1.Pod{}, allowed: map[string]time.Duration{}, dropped: map[string]bool{}, told: map[message.Position]string{}}
}

// accept notes a desired state that is on the disk.
func (n *node) accept(position message.Position, encoded []byte) {
	n.checkOrder(position, encoded)
	content, err := message.Decode[message.Content](encoded)
	if err != nil {
		n.w.fail("%s keeps a desired state that does not decode: %w", n.name, err)
		return
	}
	listed := map[string]*corev1.Pod{}
	for _, data := range content.Pods {
		pod := &corev1.Pod{}
		if err := pod.Unmarshal(data); err != nil {
			n.w.fail("%s keeps a pod that does not decode: %w", n.name, err)
			return
		}
		listed[string(pod.UID)] = pod
	}
	for uid, pod := range n.book.listed {
		if pod.DeletionTimestamp == nil {
			n.book.allowed[uid] = n.w.now
		}
		if listed[uid] == nil {
			n.book.dropped[uid] = true
		}
	}
	for uid, pod := range listed {
		if pod.DeletionTimestamp != nil {
			n.book.dropped[uid] = true
		}
	}
	n.book.listed = listed
}
