package openapi

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/skerry-edge/skerry/master/resource"
)

// refPrefix is where models are in an OpenAPI v3 document.
const refPrefix = "#/components/schemas/"

// Extensions that Kubernetes' clients read.
const (
	gvkExtension      = "x-kubernetes-group-version-kind"
	mergeKeyExtension = "x-kubernetes-patch-merge-key"
	strategyExtension = "x-kubernetes-patch-strategy"
)

// Models are the schemas of kinds, of their lists and of everything in them, by the names that Kubernetes gives
// them ("io.k8s.api.core.v1.Pod").
func Models(resources []*resource.Resource) map[string]*spec.Schema {
	m := models{}
	for _, r := range resources {
		m.addKind(r.New(), r.GVK)
		if r.NewList != nil {
			m.addKind(r.NewList(), r.GVK.GroupVersion().WithKind(r.GVK.Kind+"List"))
		}
	}
	return m
}

type models map[string]*spec.Schema

// addKind adds a type that clients know by group, version and kind.
func (m models) addKind(o any, gvk schema.GroupVersionKind) {
	m.ref(reflect.TypeOf(o).Elem())
	m[modelName(reflect.TypeOf(o).Elem())].AddExtension(gvkExtension, []any{gvkValue(gvk)})
}

func gvkValue(gvk schema.GroupVersionKind) map[string]any {
	return map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}
}

// ref is a reference to the model of a type, which is added with all that it refers to.
func (m models) ref(t reflect.Type) spec.Ref {
	name := modelName(t)
	if m[name] == nil {
		model := &spec.Schema{}
		m[name] = model // before its fields, for types that contain themselves
		m.describe(model, t)
	}
	return spec.MustCreateRef(refPrefix + name)
}

// Types that write themselves to JSON say so by these methods, which Kubernetes' own generator reads as well.
type (
	selfTyped interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	}
	severalTypes interface{ OpenAPIV3OneOfTypes() []string }
	documented   interface{ SwaggerDoc() map[string]string }
	named        interface{ OpenAPIModelName() string }
)

// describe fills in the model of a type.
func (m models) describe(model *spec.Schema, t reflect.Type) {
	zero := reflect.Zero(t).Interface()
	var docs map[string]string
	if d, ok := zero.(documented); ok {
		docs = d.SwaggerDoc()
	}
	model.Description = docs[""]
	if typed, ok := zero.(selfTyped); ok {
		model.Format = typed.OpenAPISchemaFormat()
		if several, ok := zero.(severalTypes); ok {
			for _, one := range several.OpenAPIV3OneOfTypes() {
				model.OneOf = append(model.OneOf, spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{one}}})
			}
			return
		}
		model.Type = typed.OpenAPISchemaType()
		return
	}
	model.Type = []string{"object"}
	switch t {
	case reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[runtime.RawExtension](), reflect.TypeFor[metav1.Patch]():
		return // any JSON object
	}
	m.addFields(model, t, docs)
}

// addFields adds the fields of a struct, those of inlined structs among them.
func (m models) addFields(model *spec.Schema, t reflect.Type, docs map[string]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			var inner map[string]string
			if d, ok := reflect.Zero(f.Type).Interface().(documented); ok {
				inner = d.SwaggerDoc()
			}
			m.addFields(model, f.Type, inner)
		case name != "":
			if model.Properties == nil {
				model.Properties = map[string]spec.Schema{}
			}
			model.Properties[name] = m.property(f, docs[name])
			if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
				model.Required = append(model.Required, name)
			}
		}
	}
}

// property is the schema of a field.
func (m models) property(f reflect.StructField, description string) spec.Schema {
	s := m.value(f.Type)
	if s.Ref.String() != "" {
		// What stands beside a reference counts for nothing, so the reference goes inside, as Kubernetes has it.
		s = spec.Schema{SchemaProps: spec.SchemaProps{AllOf: []spec.Schema{s}}}
	}
	s.Description = description
	if strategy := f.Tag.Get("patchStrategy"); strategy != "" {
		s.AddExtension(strategyExtension, strategy)
	}
	if key := f.Tag.Get("patchMergeKey"); key != "" {
		s.AddExtension(mergeKeyExtension, key)
	}
	return s
}

// value is the schema of what a type writes to JSON.
func (m models) value(t reflect.Type) spec.Schema {
	switch t.Kind() {
	case reflect.Pointer:
		return m.value(t.Elem())
	case reflect.Struct:
		return spec.Schema{SchemaProps: spec.SchemaProps{Ref: m.ref(t)}}
	case reflect.Map:
		s := spec.MapProperty(nil)
		below := m.value(t.Elem())
		s.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &below}
		return *s
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return simple("string", "byte")
		}
		below := m.value(t.Elem())
		return *spec.ArrayProperty(&below)
	case reflect.String:
		return simple("string", "")
	case reflect.Bool:
		return simple("boolean", "")
	case reflect.Int64:
		return simple("integer", "int64")
	case reflect.Float64:
		return simple("number", "double")
	default:
		return simple("integer", "int32")
	}
}

func simple(kind, format string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{kind}, Format: format}}
}

// modelName is Kubernetes' name of a type.
func modelName(t reflect.Type) string {
	if n, ok := reflect.Zero(t).Interface().(named); ok {
		return n.OpenAPIModelName()
	}
	return strings.ReplaceAll(t.PkgPath(), "/", ".") + "." + t.Name()
}
