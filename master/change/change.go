package change

import (
	"fmt"
	"iter"
)

// Kind names a kind of object as the API's paths do: the plural, and the group after a dot where there is
// one ("pods", "deployments.apps").
type Kind string

// Key names one object. Namespace is empty for cluster-wide kinds.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

func (k Key) String() string {
	if k.Namespace == "" {
		return fmt.Sprintf("%s %s", k.Kind, k.Name)
	}
	return fmt.Sprintf("%s %s/%s", k.Kind, k.Namespace, k.Name)
}

// Record is one object as the store holds it: encoded, with the revision of its last write. A record is
// immutable; nobody writes into Value.
//
// Value is the Kubernetes protobuf of the object without the "k8s\x00" prefix, and without
// metadata.resourceVersion: Rev is that. Package resource decodes it. Objects are kept encoded because ten
// thousand typed pods need a hundred megabytes and ten thousand encoded ones a fifth of that.
type Record struct {
	Key   Key
	Rev   Rev
	Value []byte
}

// Exists reports whether the record is an object, not the zero Record that stands for none.
func (r Record) Exists() bool { return r.Value != nil }

// View is the whole state at one revision. It never changes, is free to take and safe to share.
type View interface {
	// Rev is the revision of the last write that the view shows.
	Rev() Rev
	// Get returns the object, or false.
	Get(Key) (Record, bool)
	// List yields the objects of a kind in the order of namespace and name; an empty namespace means all.
	List(kind Kind, namespace string) iter.Seq[Record]
	// Indexed yields, in the same order, the objects whose named index has exactly this value. An index
	// that the kind doesn't have yields nothing.
	Indexed(kind Kind, index, value string) iter.Seq[Record]
	// Count is the number of objects of a kind.
	Count(kind Kind) int
}

// Any, as a change's Base, means: whatever is there now, or nothing.
const Any Rev = 1<<64 - 1

// Change is one intended write. Changes that are committed together happen together or not at all.
type Change struct {
	Key Key
	// Base is the revision that the change was made from: the object's Rev, 0 when it must not exist yet,
	// or Any. When the store holds another revision the commit fails with ErrConflict.
	Base Rev
	// Value is the new encoding; nil deletes the object. A value equal to the stored one writes nothing. The
	// store keeps it: nobody writes into it afterwards.
	Value []byte
	// Reason says why, in a few words for a log or a test ("replica 2 of 3 is missing").
	Reason string
}

// Deletes reports whether the change removes its object.
func (c Change) Deletes() bool { return c.Value == nil }

// Event is one write that happened.
type Event struct {
	Rev Rev    // revision of the write
	Key Key    // of Old and New
	Old Record // the object before; doesn't exist when the write created it
	New Record // the object now; doesn't exist when the write deleted it
}
