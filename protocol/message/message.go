package message

import (
	"fmt"
	"time"
)

// Epoch is the number of a leader's term, as package change has it: Term first, then Start.
type Epoch struct {
	Term  uint32 `cbor:"1,keyasint,omitempty"`
	Start uint32 `cbor:"2,keyasint,omitempty"`
}

// Less reports whether e is older than o.
func (e Epoch) Less(o Epoch) bool {
	if e.Term != o.Term {
		return e.Term < o.Term
	}
	return e.Start < o.Start
}

func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Term, e.Start) }

// Position orders the desired states of one node: by epoch, then by serial.
type Position struct {
	Epoch  Epoch  `cbor:"1,keyasint,omitempty"`
	Serial uint64 `cbor:"2,keyasint,omitempty"`
}

// Less reports whether p is older than o.
func (p Position) Less(o Position) bool {
	if p.Epoch != o.Epoch {
		return p.Epoch.Less(o.Epoch)
	}
	return p.Serial < o.Serial
}

func (p Position) String() string { return fmt.Sprintf("%s/%d", p.Epoch, p.Serial) }

// Leader announces who leads (topic m/leader, retained, repeated every five minutes). The envelope names the
// leader's run.
type Leader struct {
	Epoch     Epoch  `cbor:"1,keyasint,omitempty"`
	Time      int64  `cbor:"2,keyasint,omitempty"` // the master's wall clock, Unix seconds; for people
	Master    string `cbor:"3,keyasint,omitempty"` // host name, for logs
	Signature []byte `cbor:"4,keyasint,omitempty"` // Ed25519 by the cluster key over SigningInput
}

// Hello opens a conversation after each start of an agent, each change of the leader's run and each
// connection. The envelope names the agent's run.
type Hello struct {
	Challenge uint64   `cbor:"1,keyasint,omitempty"` // random; Welcome echoes it
	BootID    string   `cbor:"2,keyasint,omitempty"` // the kernel's boot id: changes with each reboot
	Stored    Position `cbor:"3,keyasint,omitempty"` // of the desired state on disk; zero when there is none
	Digest    Digest   `cbor:"4,keyasint,omitempty"` // of its content
	Highest   Epoch    `cbor:"5,keyasint,omitempty"` // highest epoch this agent ever saw
	Version   string   `cbor:"6,keyasint,omitempty"` // of the agent, for people
}

// Welcome answers a Hello, on the node's req topic.
type Welcome struct {
	Echo      uint64   `cbor:"1,keyasint,omitempty"` // Hello.Challenge
	Challenge uint64   `cbor:"2,keyasint,omitempty"` // random; the next complete Status echoes it, which makes the agent's run the current one
	Desired   Position `cbor:"3,keyasint,omitempty"` // the newest there is for this node; serial 0: none yet
	Digest    Digest   `cbor:"4,keyasint,omitempty"` // of its content
	Settings  Settings `cbor:"5,keyasint,omitempty"`
}

// Settings are what the master decides for a node. Zero means: as before.
type Settings struct {
	HeartbeatMillis uint32 `cbor:"1,keyasint,omitempty"`
	TimeoutMillis   uint32 `cbor:"2,keyasint,omitempty"` // node-timeout
	PodCIDR         string `cbor:"3,keyasint,omitempty"` // the node's own subnet, as "10.32.7.0/24"; in Content only
	// Brokers are the embedded brokers of all masters, as mqtts://HOST:PORT: alternatives to those of the join token. In
	// Content only; at most MaxBrokers.
	Brokers []string `cbor:"4,keyasint,omitempty"`
}

// MaxBrokers bounds Settings.Brokers.
const MaxBrokers = 32

// Heartbeat is the interval between heartbeats.
func (s Settings) Heartbeat() time.Duration {
	return time.Duration(s.HeartbeatMillis) * time.Millisecond
}

// Timeout is how long a node may be silent.
func (s Settings) Timeout() time.Duration { return time.Duration(s.TimeoutMillis) * time.Millisecond }

// Heartbeat says that a node lives, what it runs and how it feels. At most 64 bytes.
type Heartbeat struct {
	Applied  Position `cbor:"1,keyasint,omitempty"` // the desired state that is stored and acted upon
	Status   Digest   `cbor:"2,keyasint,omitempty"` // of the statuses as last sent, see StatusDigest
	Readings Readings `cbor:"3,keyasint,omitempty"`
	Ask      uint64   `cbor:"4,keyasint,omitempty"` // asks for a permit: the node's boot clock in milliseconds when this was sent; 0: it needs none
}

// MaxHeartbeat bounds an encoded Heartbeat, in bytes: an idle node says nothing else.
const MaxHeartbeat = 64

// Fitting is the heartbeat, without its readings if it would be larger with them: in a cluster or a machine of a size that
// nobody has seen yet, which asks for a permit.
func (h Heartbeat) Fitting() Heartbeat {
	if len(Encode(h)) > MaxHeartbeat {
		h.Readings = Readings{}
	}
	return h
}

// Readings are what metrics.k8s.io shows of a node.
type Readings struct {
	CPUMilli  uint32 `cbor:"1,keyasint,omitempty"` // used, in thousandths of a core
	MemoryKiB uint64 `cbor:"2,keyasint,omitempty"` // used (working set)
	DiskKiB   uint64 `cbor:"3,keyasint,omitempty"` // free where containers live
}

// Presence is retained: Online by the agent at each connection, its opposite by the will of that connection.
type Presence struct {
	Online     bool   `cbor:"1,keyasint,omitempty"`
	Connection uint64 `cbor:"2,keyasint,omitempty"` // counts the connections of the agent's run
}

// Status reports what the agent owns: the node's own status and that of its pods.
type Status struct {
	Complete bool        `cbor:"1,keyasint,omitempty"` // lists every pod; otherwise only what changed since Base
	Base     Digest      `cbor:"2,keyasint,omitempty"` // what an incremental status builds on
	Digest   Digest      `cbor:"3,keyasint,omitempty"` // of everything, after this status
	Echo     uint64      `cbor:"4,keyasint,omitempty"` // Welcome.Challenge, in the first complete status after it
	Node     []byte      `cbor:"5,keyasint,omitempty"` // corev1.Node as protobuf: status, and labels in metadata; empty when unchanged
	Pods     []PodStatus `cbor:"6,keyasint,omitempty"`
	Events   []Event     `cbor:"7,keyasint,omitempty"` // what happened to pods since the last status, at most MaxEvents; not part of the digest
}

// MaxEvents bounds the events of one Status. Events are for people: one that is lost is not sent again.
const MaxEvents = 64

// Event is something that happened to a pod on its node, for `kubectl describe` and `kubectl events`.
type Event struct {
	UID       string `cbor:"1,keyasint,omitempty"` // of the pod
	Namespace string `cbor:"2,keyasint,omitempty"`
	Name      string `cbor:"3,keyasint,omitempty"`
	FieldPath string `cbor:"4,keyasint,omitempty"` // as "spec.containers{app}"; empty: the pod itself
	Warning   bool   `cbor:"5,keyasint,omitempty"` // otherwise Normal
	Reason    string `cbor:"6,keyasint,omitempty"` // Kubernetes' word: Pulling, Started, BackOff, …
	Message   string `cbor:"7,keyasint,omitempty"`
	Count     uint32 `cbor:"8,keyasint,omitempty"` // how often since it was last sent, at least 1
	Time      int64  `cbor:"9,keyasint,omitempty"` // of the last one, the node's wall clock, Unix seconds; may be wrong by decades
}

// PodStatus is the status of one pod. It names the uid, so that a late report can't touch a successor.
type PodStatus struct {
	UID       string `cbor:"1,keyasint,omitempty"`
	Namespace string `cbor:"2,keyasint,omitempty"`
	Name      string `cbor:"3,keyasint,omitempty"`
	Status    []byte `cbor:"4,keyasint,omitempty"` // corev1.PodStatus as protobuf
	Gone      bool   `cbor:"5,keyasint,omitempty"` // nothing of the pod is left on the node
}

// Desired is the retained document that says what one node shall run.
type Desired struct {
	Position Position `cbor:"1,keyasint,omitempty"`
	Digest   Digest   `cbor:"2,keyasint,omitempty"` // of Content before compression
	Content  []byte   `cbor:"3,keyasint,omitempty"` // zstd of an encoded Content
}

// Content is the inside of a desired state. Objects are Kubernetes protobuf, sorted by namespace and name, so
// that equal contents have equal digests.
type Content struct {
	Pods       [][]byte `cbor:"1,keyasint,omitempty"` // corev1.Pod
	ConfigMaps [][]byte `cbor:"2,keyasint,omitempty"` // corev1.ConfigMap, those that the pods name
	Secrets    [][]byte `cbor:"3,keyasint,omitempty"` // corev1.Secret, likewise
	Settings   Settings `cbor:"4,keyasint,omitempty"`
}

// Request travels on a node's req topic; exactly one field is set.
type Request struct {
	Welcome *Welcome `cbor:"1,keyasint,omitempty"`
	Resync  *Resync  `cbor:"2,keyasint,omitempty"`
	Frame   []byte   `cbor:"3,keyasint,omitempty"` // of package stream
	Revoked *Revoked `cbor:"4,keyasint,omitempty"`
	Rotate  *Rotate  `cbor:"5,keyasint,omitempty"`
	KeyKept *NewKey  `cbor:"6,keyasint,omitempty"` // the master has stored the next key: use it from the next connection on
	Grant   *Grant   `cbor:"7,keyasint,omitempty"`
	Release *Release `cbor:"8,keyasint,omitempty"` // which of these pods are gone for good?
}

// Grant permits a node to run the pods that must run at most once: those named, and no other one. It replaces the
// grant before.
type Grant struct {
	Ask    uint64   `cbor:"1,keyasint,omitempty"` // of the heartbeat that it answers
	Millis uint32   `cbor:"2,keyasint,omitempty"` // how long it holds, counted by the node from when it sent that heartbeat
	Pods   []string `cbor:"3,keyasint,omitempty"` // uids
	// Bound are the uids of pods that can run on no other node: the node keeps the right to each until it has said
	// that the pod is gone.
	Bound []string `cbor:"4,keyasint,omitempty"`
}

// Lasts is how long the grant holds.
func (g Grant) Lasts() time.Duration { return time.Duration(g.Millis) * time.Millisecond }

// Release names pods by their uids. In a Request it asks about them; in a Response it says that nothing of them is
// left on the node, and that none will be started there without another grant.
type Release struct {
	Pods []string `cbor:"1,keyasint,omitempty"`
}

// Revoked says that the node's key is no longer the cluster's: its Node was deleted. The agent stops its pods.
type Revoked struct {
	Time int64 `cbor:"1,keyasint,omitempty"` // when, the master's wall clock, Unix seconds; for people
}

// Rotate asks the agent for a new key.
type Rotate struct{}

// NewKey is a node's next public key.
type NewKey struct {
	Key [32]byte `cbor:"1,keyasint"`
}

// Resync asks an agent to say again what the master lacks.
type Resync struct {
	Hello  bool `cbor:"1,keyasint,omitempty"` // the master doesn't know this run: say hello
	Status bool `cbor:"2,keyasint,omitempty"` // send a complete status
}

// Response travels on a node's res topic; exactly one field is set.
type Response struct {
	WantDesired *WantDesired `cbor:"1,keyasint,omitempty"`
	Frame       []byte       `cbor:"2,keyasint,omitempty"` // of package stream
	NextKey     *NewKey      `cbor:"3,keyasint,omitempty"` // said again until KeyKept names it
	Released    *Release     `cbor:"4,keyasint,omitempty"`
}

// WantDesired asks the master to publish the node's desired state again: the broker has forgotten it, or the
// agent has lost its own.
type WantDesired struct {
	Have Position `cbor:"1,keyasint,omitempty"`
}
