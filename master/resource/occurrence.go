package resource

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
)

// Occurrence is something that happened and that users shall see as an Event. Equal occurrences, whenever they
// happen, are one Event with a count.
type Occurrence struct {
	About     corev1.ObjectReference // see Reference
	Type      string                 // corev1.EventTypeNormal or EventTypeWarning
	Reason    string                 // one word in camel case: why
	Message   string                 // a sentence for people, cut at 1024 bytes
	Component string                 // who noticed, such as "skerry-scheduler"
	Host      string                 // the node it was noticed on, if any
}

// maxEventMessage is Kubernetes' limit of an event's message, in bytes.
const maxEventMessage = 1024

// Reference names an object of this kind in an Event. Cluster-wide objects have no namespace.
func (r *Resource) Reference(namespace, name string, uid types.UID) corev1.ObjectReference {
	apiVersion, kind := r.GVK.ToAPIVersionAndKind()
	return corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name, UID: uid}
}

// NewEvent is the Event of an occurrence's first time. Its name is computed from the occurrence, which is how a
// repetition finds it. Events about cluster-wide objects live in the namespace default, as in Kubernetes.
func NewEvent(o Occurrence, at time.Time) *corev1.Event {
	name := o.name()
	namespace := o.About.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	when := metav1.NewTime(at.Truncate(time.Second))
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         namespace,
			UID:               eventUID(namespace+"/"+name, at),
			CreationTimestamp: when,
		},
		InvolvedObject:      o.About,
		Type:                o.Type,
		Reason:              o.Reason,
		Message:             cut(o.Message, maxEventMessage),
		Source:              corev1.EventSource{Component: o.Component, Host: o.Host},
		ReportingController: o.Component,
		ReportingInstance:   o.Host,
		FirstTimestamp:      when,
		LastTimestamp:       when,
		Count:               1,
	}
}

// eventUID derives an event's uid. It begins with the time in microseconds, so that uids of events that were written
// together are in the order in which these happened: their times have whole seconds.
func eventUID(name string, at time.Time) types.UID {
	derived := DeriveUID("event " + name + " " + at.UTC().Format(time.RFC3339Nano))
	micro := uint64(at.UnixMicro())
	return types.UID(fmt.Sprintf("%08x-%04x%s", uint32(micro>>16), uint16(micro), derived[13:]))
}

// RecordEvent is the write that makes an occurrence visible: a new Event, or one more on the count of the Event
// that the view has of it. Two changes for equal occurrences must not share a commit.
func RecordEvent(view change.View, o Occurrence, at time.Time) (change.Change, error) {
	event := NewEvent(o, at)
	write := change.Change{Key: Events.Key(event.Namespace, event.Name), Reason: o.Reason}
	if rec, ok := view.Get(write.Key); ok {
		before, err := As[*corev1.Event](Events, rec)
		if err != nil {
			return change.Change{}, err
		}
		write.Base = rec.Rev
		last := event.LastTimestamp
		event = before
		event.Count++
		event.LastTimestamp = last
	}
	value, err := Encode(event)
	if err != nil {
		return change.Change{}, err
	}
	write.Value = value
	return write, nil
}

// name is that of the object, and a hash of all that makes two occurrences one.
func (o Occurrence) name() string {
	h := sha256.New()
	for _, part := range []string{
		string(o.About.UID), o.About.Kind, o.About.Namespace, o.About.Name, o.About.FieldPath,
		o.Type, o.Reason, o.Message, o.Component, o.Host,
	} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return fmt.Sprintf("%s.%x", cut(o.About.Name, 200), h.Sum(nil)[:8])
}

// cut shortens a text to at most n bytes, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 { // n lies inside a character
		n--
	}
	return text[:n]
}
