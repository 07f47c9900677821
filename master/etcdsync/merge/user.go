package merge

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// statusField is the number of the status in every kind of k8s.io/api that has one: metadata 1, spec 2, status 3.
const statusField = 3

// UserWrite reports whether a write may be somebody's will: it is not an event, not of an object that a controller
// owns, and it changes more than a status. In doubt it is.
func UserWrite(e change.Event) bool {
	if e.Key.Kind == resource.Events.Kind {
		return false
	}
	kind := resource.ByKind(e.Key.Kind)
	if kind == nil {
		return true // a node's key, a join token: what nobody else can write again
	}
	for _, rec := range []change.Record{e.Old, e.New} {
		if rec.Exists() && controlled(rec.Value) {
			return false
		}
	}
	if !kind.Status || !e.Old.Exists() || !e.New.Exists() {
		return true
	}
	return !bytes.Equal(withoutStatus(e.Old.Value), withoutStatus(e.New.Value))
}

func controlled(value []byte) bool {
	meta, err := resource.Meta(value)
	return err == nil && slices.ContainsFunc(meta.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Controller != nil && *o.Controller
	})
}

// withoutStatus is an encoded object without its status; the object itself where that can't be told.
func withoutStatus(value []byte) []byte {
	var out []byte
	for rest := value; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return value
		}
		if number != statusField {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return out
}
