package resource

import (
	"iter"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/change"
)

// oneRecord is a view of at most one object.
type oneRecord struct{ rec change.Record }

func (v oneRecord) Rev() change.Rev { return v.rec.Rev }
func (v oneRecord) Get(k change.Key) (change.Record, bool) {
	return v.rec, v.rec.Exists() && v.rec.Key == k
}
func (v oneRecord) List(change.Kind, string) iter.Seq[change.Record]            { return nil }
func (v oneRecord) Indexed(change.Kind, string, string) iter.Seq[change.Record] { return nil }
func (v oneRecord) Count(change.Kind) int                                       { return 0 }

// The same thing happening again raises a count; another thing is another event.
func TestOccurrencesAreCounted(t *testing.T) {
	first := time.Unix(1700000000, 0).UTC()
	o := Occurrence{
		About: Pods.Reference("shop", "till", "u1"), Type: corev1.EventTypeWarning,
		Reason: "FailedScheduling", Message: "0/1 nodes are available", Component: "skerry-scheduler",
	}
	write, err := RecordEvent(oneRecord{}, o, first)
	if err != nil {
		t.Fatal(err)
	}
	if write.Base != 0 {
		t.Errorf("a new event is based on %s", write.Base)
	}
	rec := change.Record{Key: write.Key, Rev: 5, Value: write.Value}
	again, err := RecordEvent(oneRecord{rec}, o, first.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if again.Key != write.Key || again.Base != 5 {
		t.Errorf("the repetition writes %s on %s", again.Key, again.Base)
	}
	event, err := As[*corev1.Event](Events, change.Record{Key: again.Key, Value: again.Value})
	if err != nil {
		t.Fatal(err)
	}
	if event.Count != 2 || !event.FirstTimestamp.Time.Equal(first) || !event.LastTimestamp.Time.Equal(first.Add(time.Minute)) {
		t.Errorf("count %d, first %s, last %s", event.Count, event.FirstTimestamp, event.LastTimestamp)
	}
	if event.InvolvedObject.Kind != "Pod" || event.InvolvedObject.APIVersion != "v1" || event.Namespace != "shop" {
		t.Errorf("about %+v in %s", event.InvolvedObject, event.Namespace)
	}

	o.Message = "0/2 nodes are available"
	if other := NewEvent(o, first); other.Name == event.Name {
		t.Error("another message has the same name")
	}
}

// Whatever an occurrence is about, its event has a valid name and place, and a bounded message.
func TestEventsAreWellFormed(t *testing.T) {
	for _, about := range []corev1.ObjectReference{
		Pods.Reference("shop", strings.Repeat("x", 253), "u"),
		Nodes.Reference("", "pi-1", "u"),
	} {
		e := NewEvent(Occurrence{About: about, Message: strings.Repeat("ü", 2000)}, time.Unix(0, 0))
		errs := validation.ValidateObjectMeta(&e.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
		if len(errs) > 0 {
			t.Error(errs)
		}
		if len(e.Message) > maxEventMessage || !utf8.ValidString(e.Message) {
			t.Errorf("message of %d bytes, valid %t", len(e.Message), utf8.ValidString(e.Message))
		}
	}
}
