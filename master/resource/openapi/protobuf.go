package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Protobuf encodes an OpenAPI v2 document as the message openapi.v2.Document of gnostic (OpenAPIv2.proto), the
// only form in which old clients read it. It writes the few fields that Swagger fills in, because gnostic's own
// way, over the text of the document and a tree of it, takes far more memory.
func Protobuf(s *spec.Swagger) ([]byte, error) {
	var d message
	d.text(1, s.Swagger)
	d.below(2, func(m *message) {
		m.text(1, s.Info.Title)
		m.text(2, s.Info.Version)
	})
	d.below(8, func(m *message) {
		for _, path := range slices.Sorted(maps.Keys(s.Paths.Paths)) {
			item := s.Paths.Paths[path]
			m.named(2, path, func(m *message) { m.path(&item) })
		}
	})
	d.below(9, func(m *message) { m.schemas(s.Definitions) })
	return d.out, d.err
}

// message is a protobuf message in the making.
type message struct {
	out []byte
	err error
}

// text adds a string; an empty one is not there.
func (m *message) text(field protowire.Number, s string) {
	if s != "" {
		m.out = protowire.AppendString(protowire.AppendTag(m.out, field, protowire.BytesType), s)
	}
}

func (m *message) texts(field protowire.Number, all []string) {
	for _, s := range all {
		m.text(field, s)
	}
}

func (m *message) truth(field protowire.Number, is bool) {
	if is {
		m.out = protowire.AppendVarint(protowire.AppendTag(m.out, field, protowire.VarintType), 1)
	}
}

// below adds a message, also an empty one.
func (m *message) below(field protowire.Number, fill func(*message)) {
	var inner message
	fill(&inner)
	if m.err == nil {
		m.err = inner.err
	}
	m.out = protowire.AppendBytes(protowire.AppendTag(m.out, field, protowire.BytesType), inner.out)
}

// named adds a pair of a name and a message, which is how gnostic writes maps.
func (m *message) named(field protowire.Number, name string, fill func(*message)) {
	m.below(field, func(m *message) {
		m.text(1, name)
		m.below(2, fill)
	})
}

// extensions adds what begins with "x-": its values as YAML, of which JSON is a part.
func (m *message) extensions(field protowire.Number, all spec.Extensions) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value, err := json.Marshal(all[name])
		if err != nil && m.err == nil {
			m.err = fmt.Errorf("encode %s: %w", name, err)
		}
		m.named(field, name, func(m *message) { m.text(2, string(value)) })
	}
}

// schemas adds models or properties.
func (m *message) schemas(all map[string]spec.Schema) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		m.named(1, name, func(m *message) { m.schema(&s) })
	}
}

func (m *message) schema(s *spec.Schema) {
	m.text(1, s.Ref.String())
	m.text(2, s.Format)
	m.text(4, s.Description)
	m.texts(19, s.Required)
	if s.AdditionalProperties != nil {
		m.below(21, func(m *message) {
			m.below(1, func(m *message) { m.schema(s.AdditionalProperties.Schema) })
		})
	}
	if len(s.Type) > 0 {
		m.below(22, func(m *message) { m.texts(1, s.Type) })
	}
	if s.Items != nil {
		m.below(23, func(m *message) {
			m.below(1, func(m *message) { m.schema(s.Items.Schema) })
		})
	}
	if len(s.Properties) > 0 {
		m.below(25, func(m *message) { m.schemas(s.Properties) })
	}
	m.extensions(31, s.Extensions)
}

func (m *message) path(p *spec.PathItem) {
	for _, at := range []struct {
		field protowire.Number
		op    *spec.Operation
	}{{2, p.Get}, {3, p.Put}, {4, p.Post}, {5, p.Delete}, {8, p.Patch}} {
		if at.op != nil {
			m.below(at.field, func(m *message) { m.operation(at.op) })
		}
	}
	m.parameters(9, p.Parameters)
}

func (m *message) operation(op *spec.Operation) {
	m.texts(6, op.Produces)
	m.texts(7, op.Consumes)
	m.parameters(8, op.Parameters)
	m.below(9, func(m *message) {
		for _, code := range slices.Sorted(maps.Keys(op.Responses.StatusCodeResponses)) {
			response := op.Responses.StatusCodeResponses[code]
			m.named(1, strconv.Itoa(code), func(m *message) {
				m.below(1, func(m *message) {
					m.text(1, response.Description)
					m.below(2, func(m *message) {
						m.below(1, func(m *message) { m.schema(response.Schema) })
					})
				})
			})
		}
	})
	m.extensions(13, op.Extensions)
}

// parameters adds parameters in each of the forms that gnostic has for them.
func (m *message) parameters(field protowire.Number, all []spec.Parameter) {
	for _, p := range all {
		m.below(field, func(m *message) {
			m.below(1, func(m *message) { m.parameter(&p) })
		})
	}
}

func (m *message) parameter(p *spec.Parameter) {
	switch p.In {
	case "body":
		m.below(1, func(m *message) {
			m.text(2, p.Name)
			m.text(3, p.In)
			m.truth(4, p.Required)
			m.below(5, func(m *message) { m.schema(p.Schema) })
		})
	case "query":
		m.below(2, func(m *message) {
			m.below(3, func(m *message) {
				m.simple(p)
				m.text(6, p.Type)
			})
		})
	case "path":
		m.below(2, func(m *message) {
			m.below(4, func(m *message) {
				m.simple(p)
				m.text(5, p.Type)
			})
		})
	}
}

// simple adds what parameters of queries and of paths have in common.
func (m *message) simple(p *spec.Parameter) {
	m.truth(1, p.Required)
	m.text(2, p.In)
	m.text(3, p.Description)
	m.text(4, p.Name)
}
