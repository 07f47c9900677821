package apiserver

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// errGone is a client that no longer takes what a watch sends.
var errGone = errors.New("the client has gone or does not read")

// eventWriter writes watch events: JSON documents one a line, or protobuf documents with their length before
// them.
type eventWriter struct {
	call   *call
	format format
	out    *bufio.Writer
	headed bool // the columns of the table have been sent
}

// newEventWriter begins the answer.
func newEventWriter(c *call, f format) *eventWriter {
	contentType := f.media
	if f.media == mediaProtobuf {
		contentType += ";stream=watch"
	}
	header := c.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache, private")
	c.w.WriteHeader(http.StatusOK)
	chunks := chunkWriter{w: c.w, control: http.NewResponseController(c.w)}
	_, _ = chunks.Write(nil) // the client waits for the header
	return &eventWriter{call: c, format: f, out: bufio.NewWriterSize(chunks, 16<<10)}
}

// chunkWriter sends what it is given at once. A client that doesn't take it in time is dropped.
type chunkWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (c chunkWriter) Write(p []byte) (int, error) {
	defer hurry(c.w)()
	n, err := c.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, c.control.Flush()
}

// object writes an event about an object, in the form that the client asked for.
func (w *eventWriter) object(kind watch.EventType, o resource.Object) error {
	shown := w.call.shown(w.format, o)
	if w.format.as == asPartialList { // what client-go's metadata informers send
		shown = partial(o)
	}
	if t, ok := shown.(*metav1.Table); ok {
		if w.headed {
			t.ColumnDefinitions = nil
		}
		w.headed = true
	}
	return w.event(kind, shown)
}

// bookmark writes a revision up to which the client has seen everything.
func (w *eventWriter) bookmark(rev change.Rev, initialEnd bool) error {
	o := bookmarkObject(w.call.res, rev, initialEnd)
	if w.format.as != asTable {
		return w.object(watch.Bookmark, o)
	}
	t := &metav1.Table{ListMeta: metav1.ListMeta{ResourceVersion: rev.String()}, Rows: []metav1.TableRow{{
		Cells: []any{}, Object: runtime.RawExtension{Object: partial(o)},
	}}}
	t.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(asTable))
	return w.event(watch.Bookmark, t)
}

// fail writes the error that ends the watch.
func (w *eventWriter) fail(status *apierrors.StatusError) {
	answer := status.ErrStatus
	answer.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if w.event(watch.Error, &answer) == nil {
		_ = w.flush()
	}
}

func (w *eventWriter) event(kind watch.EventType, o runtime.Object) error {
	if w.format.media == mediaProtobuf {
		return w.protobuf(kind, o)
	}
	line, err := json.Marshal(struct {
		Type   watch.EventType `json:"type"`
		Object runtime.Object  `json:"object"`
	}{kind, o})
	if err != nil {
		return fmt.Errorf("encode watch event: %w", err)
	}
	return w.bytes(append(line, '\n'))
}

func (w *eventWriter) protobuf(kind watch.EventType, o runtime.Object) error {
	inner, err := encode(mediaProtobuf, o)
	if err != nil {
		return err
	}
	event := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: inner}}
	data, err := event.Marshal()
	if err != nil {
		return fmt.Errorf("encode watch event: %w", err)
	}
	if err := w.bytes(binary.BigEndian.AppendUint32(nil, uint32(len(data)))); err != nil {
		return err
	}
	return w.bytes(data)
}

func (w *eventWriter) bytes(p []byte) error {
	if _, err := w.out.Write(p); err != nil {
		return errGone
	}
	return nil
}

func (w *eventWriter) flush() error {
	if w.out.Flush() != nil {
		return errGone
	}
	return nil
}
