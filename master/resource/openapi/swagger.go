package openapi

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/skerry-edge/skerry/master/resource"
)

// definitionPrefix is where models are in an OpenAPI v2 document.
const definitionPrefix = "#/definitions/"

// Swagger describes all kinds in one OpenAPI v2 document, for kubectl before 1.27, which knows nothing else. It
// says what the v3 documents say, as far as v2 can.
func Swagger(resources []*resource.Resource, version string) *spec.Swagger {
	s := &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Skerry", Version: version}},
		Paths:       &spec.Paths{Paths: map[string]spec.PathItem{}},
		Definitions: spec.Definitions{},
	}}
	seen := map[schema.GroupVersion]bool{}
	for _, r := range resources {
		gv := r.GVK.GroupVersion()
		if seen[gv] {
			continue
		}
		seen[gv] = true
		doc := Document(resources, gv, version)
		for name, model := range doc.Components.Schemas {
			// A model of several groups (DeleteOptions, Scale) is the same in each.
			s.Definitions[name] = schemaV2(*model)
		}
		for path, item := range doc.Paths.Paths {
			s.Paths.Paths[path] = pathV2(item)
		}
	}
	return s
}

// schemaV2 is a schema in the words of v2: a reference stands beside its description, and what is one of
// several types is a string of a format of its own, as Kubernetes has it.
func schemaV2(s spec.Schema) spec.Schema {
	out := spec.Schema{VendorExtensible: s.VendorExtensible, SchemaProps: spec.SchemaProps{
		Description: s.Description, Type: s.Type, Format: s.Format, Required: s.Required,
	}}
	ref := s.Ref.String()
	if len(s.AllOf) == 1 {
		ref = s.AllOf[0].Ref.String()
	}
	if ref != "" {
		out.Ref = spec.MustCreateRef(definitionPrefix + strings.TrimPrefix(ref, refPrefix))
	}
	if len(s.OneOf) > 0 {
		out.Type = []string{"string"}
	}
	for name, property := range s.Properties {
		if out.Properties == nil {
			out.Properties = map[string]spec.Schema{}
		}
		out.Properties[name] = schemaV2(property)
	}
	if s.Items != nil && s.Items.Schema != nil {
		below := schemaV2(*s.Items.Schema)
		out.Items = &spec.SchemaOrArray{Schema: &below}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		below := schemaV2(*s.AdditionalProperties.Schema)
		out.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &below}
	}
	return out
}

func pathV2(path *spec3.Path) spec.PathItem {
	return spec.PathItem{PathItemProps: spec.PathItemProps{
		Parameters: parametersV2(path.Parameters),
		Get:        operationV2(path.Get), Put: operationV2(path.Put), Post: operationV2(path.Post),
		Delete: operationV2(path.Delete), Patch: operationV2(path.Patch),
	}}
}

func operationV2(op *spec3.Operation) *spec.Operation {
	if op == nil {
		return nil
	}
	out := &spec.Operation{VendorExtensible: op.VendorExtensible, OperationProps: spec.OperationProps{
		Parameters: parametersV2(op.Parameters),
		Responses:  &spec.Responses{ResponsesProps: spec.ResponsesProps{StatusCodeResponses: map[int]spec.Response{}}},
	}}
	if op.RequestBody != nil {
		for media, content := range op.RequestBody.Content {
			out.Consumes = append(out.Consumes, media)
			body := schemaV2(*content.Schema)
			if len(out.Consumes) == 1 {
				out.Parameters = append(out.Parameters, spec.Parameter{ParamProps: spec.ParamProps{
					Name: "body", In: "body", Required: true, Schema: &body,
				}})
			}
		}
		slices.Sort(out.Consumes)
	}
	for code, response := range op.Responses.StatusCodeResponses {
		for media, content := range response.Content {
			out.Produces = append(out.Produces, media)
			answer := schemaV2(*content.Schema)
			out.Responses.StatusCodeResponses[code] = spec.Response{ResponseProps: spec.ResponseProps{
				Description: response.Description, Schema: &answer,
			}}
		}
	}
	return out
}

func parametersV2(parameters []*spec3.Parameter) []spec.Parameter {
	var out []spec.Parameter
	for _, p := range parameters {
		out = append(out, spec.Parameter{
			ParamProps:   spec.ParamProps{Name: p.Name, In: p.In, Description: p.Description, Required: p.Required},
			SimpleSchema: spec.SimpleSchema{Type: p.Schema.Type[0]},
		})
	}
	return out
}
