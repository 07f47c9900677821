package resource

import (
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/message"
)

// SlotKind holds who may run in each slot: one record a slot that is taken, in the pod's namespace, named as
// SlotsOf says. It is written before the pod is first permitted to run, and outlives the pod and the node. It is not
// served as it is.
const SlotKind change.Kind = "slots.skerry.dev"

// Slot is the content of a record of SlotKind.
type Slot struct {
	Pod    types.UID `cbor:"1,keyasint,omitempty"`
	Name   string    `cbor:"2,keyasint,omitempty"` // of the pod
	Node   string    `cbor:"3,keyasint,omitempty"` // name
	Holder types.UID `cbor:"4,keyasint,omitempty"` // of the Node object that belongs to the node's key: another key, another object
	Boot   string    `cbor:"5,keyasint,omitempty"` // boot id of the machine; a permit is worth nothing on another boot
	Millis uint32    `cbor:"6,keyasint,omitempty"` // the longest permit that may have been granted
	Bound  bool      `cbor:"7,keyasint,omitempty"` // the pod can run on no other node, and needs no permit again: only the node's word ends it
}

// Lasts is the longest permit that may have been granted.
func (s Slot) Lasts() time.Duration { return time.Duration(s.Millis) * time.Millisecond }

// EncodeSlot is the value of a record of SlotKind.
func EncodeSlot(s Slot) []byte { return message.Encode(s) }

// DecodeSlot reads the value of a record of SlotKind.
func DecodeSlot(value []byte) (Slot, error) { return message.Decode[Slot](value) }

// Slots names the slots that a pod may take: a bare pod, or one of an owner that Skerry doesn't know, has its own,
// named after it; a replica has those of its Deployment, or of its ReplicaSet when that has none.
type Slots struct {
	Namespace string
	Owner     string // as "deployment/web"; of a bare pod "pod/db"
	Count     int    // of them; a bare pod has one
}

// Key is that of slot number n, from 0. A record's name holds no slash.
func (s Slots) Key(n int) change.Key {
	name := strings.ReplaceAll(s.Owner, "/", ":") + ":" + strconv.Itoa(n)
	return change.Key{Kind: SlotKind, Namespace: s.Namespace, Name: name}
}

// SlotOwner is the Owner of a slot's record, SlotName that and its number.
func SlotOwner(key change.Key) string {
	name := SlotName(key)
	return name[:max(0, strings.LastIndexByte(name, '/'))]
}

// SlotName is a slot's record for people, as "deployment/web/0".
func SlotName(key change.Key) string { return strings.ReplaceAll(key.Name, ":", "/") }

// SlotsOf is what slots there are for a pod.
func SlotsOf(view change.View, pod *corev1.Pod) Slots {
	own := Slots{Namespace: pod.Namespace, Owner: "pod/" + pod.Name, Count: 1}
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != ReplicaSets.GVK.Kind || ref.APIVersion != ReplicaSets.GVK.GroupVersion().String() {
		return own
	}
	rec, ok := view.Get(ReplicaSets.Key(pod.Namespace, ref.Name))
	if !ok {
		return own
	}
	set, err := As[*appsv1.ReplicaSet](ReplicaSets, rec)
	if err != nil || set.UID != ref.UID {
		return own
	}
	slots := Slots{Namespace: pod.Namespace, Owner: "replicaset/" + set.Name, Count: int(replicas(set.Spec.Replicas))}
	ref = metav1.GetControllerOfNoCopy(set)
	if ref == nil || ref.Kind != Deployments.GVK.Kind {
		return slots
	}
	rec, ok = view.Get(Deployments.Key(pod.Namespace, ref.Name))
	if !ok {
		return slots
	}
	d, err := As[*appsv1.Deployment](Deployments, rec)
	if err != nil || d.UID != ref.UID {
		return slots
	}
	return Slots{Namespace: pod.Namespace, Owner: "deployment/" + d.Name, Count: int(replicas(d.Spec.Replicas))}
}

// Fence is the changes that set free all slots that a node holds: for a person who knows that it is off.
func Fence(view change.View, node string) []change.Change {
	var out []change.Change
	for rec := range view.List(SlotKind, "") {
		if s, err := DecodeSlot(rec.Value); err == nil && s.Node == node {
			out = append(out, change.Change{Key: rec.Key, Base: rec.Rev, Reason: "node " + node + " was fenced"})
		}
	}
	return out
}
