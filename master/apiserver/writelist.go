package apiserver

import (
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/change"
)

// writeList answers with a list. JSON is written object by object, so that a list of ten thousand never lies
// in memory whole.
func (c *call) writeList(code int, f format, meta metav1.ListMeta, page []change.Record) error {
	if f.media == mediaProtobuf {
		data, err := c.listProtobuf(f, meta, page)
		if err != nil {
			return err
		}
		c.writeBytes(c.w, c.r, code, f.media, data)
		return nil
	}
	if f.media == mediaYAML {
		var whole jsonBuffer
		if err := c.listJSON(&whole, f, meta, page); err != nil {
			return err
		}
		data, err := yaml.JSONToYAML(whole)
		if err != nil {
			return fmt.Errorf("encode list: %w", err)
		}
		c.writeBytes(c.w, c.r, code, f.media, data)
		return nil
	}
	out := newAnswer(c.w, c.r, code, f.media)
	if err := c.listJSON(out, f, meta, page); err != nil {
		if out.out == nil {
			return err // nothing has been sent: the answer can still be an error
		}
		// The client sees a broken answer instead of a list that ends early.
		panic(brokenAnswer{err})
	}
	out.close()
	return nil
}

// jsonBuffer collects what is written.
type jsonBuffer []byte

func (b *jsonBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// listKind is the kind of the list, in the form that the client asked for.
func (c *call) listKind(f format) schema.GroupVersionKind {
	if f.as != "" {
		return metav1.SchemeGroupVersion.WithKind(f.as)
	}
	return c.res.GVK.GroupVersion().WithKind(c.res.GVK.Kind + "List")
}

// item is one object in the form that the client asked for; nil when the record has none.
func (c *call) item(f format, rec change.Record) (any, error) {
	if f.as == asPartialList && c.res.Render == nil {
		return partialOf(rec)
	}
	o, err := object(c.res, rec)
	if o == nil || err != nil {
		return nil, err
	}
	switch f.as {
	case asTable:
		return tableRow(c.res, o, c.includeObject(), c.now), nil
	case asPartialList:
		return partial(o), nil
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // the list says it for all
	return o, nil
}

func (c *call) listJSON(out io.Writer, f format, meta metav1.ListMeta, page []change.Record) error {
	head := struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ListMeta   `json:"metadata"`
		ColumnDefinitions []metav1.TableColumnDefinition `json:"columnDefinitions,omitempty"`
	}{ListMeta: meta}
	head.APIVersion, head.Kind = c.listKind(f).ToAPIVersionAndKind()
	items := "items"
	if f.as == asTable {
		head.ColumnDefinitions, items = columns(c.res), "rows"
	}
	begin, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode list: %w", err)
	}
	begin = append(begin[:len(begin)-1], `,"`+items+`":[`...)
	if _, err := out.Write(begin); err != nil {
		return err
	}
	first := true
	for _, rec := range page {
		item, err := c.item(f, rec)
		if err != nil {
			return err
		}
		if item == nil {
			continue
		}
		data, err := json.Marshal(item)
		if err != nil {
			return fmt.Errorf("encode %s: %w", rec.Key, err)
		}
		if !first {
			data = append([]byte{','}, data...)
		}
		first = false
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	_, err = out.Write([]byte("]}\n"))
	return err
}

// listProtobuf encodes a list. In every Kubernetes list the metadata is field 1 and the items are field 2.
func (c *call) listProtobuf(f format, meta metav1.ListMeta, page []change.Record) ([]byte, error) {
	head, err := meta.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode list: %w", err)
	}
	raw := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), head)
	for _, rec := range page {
		item, err := c.item(f, rec)
		if err != nil {
			return nil, err
		}
		if item == nil {
			continue
		}
		p, ok := item.(protobuf)
		if !ok {
			return nil, notAcceptable()
		}
		data, err := p.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", rec.Key, err)
		}
		raw = protowire.AppendBytes(protowire.AppendTag(raw, 2, protowire.BytesType), data)
	}
	var kind runtime.TypeMeta
	kind.SetGroupVersionKind(c.listKind(f))
	return envelop(&kind, raw)
}
