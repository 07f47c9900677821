package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	kubeproto "k8s.io/kube-openapi/pkg/util/proto"

	"github.com/skerry-edge/skerry/master/resource"
)

// The protobuf form says exactly what gnostic makes of the JSON form, which is how Kubernetes itself encodes it.
func TestProtobufIsGnostics(t *testing.T) {
	swagger := Swagger(resource.All, "v0")
	text, err := json.Marshal(swagger)
	if err != nil {
		t.Fatal(err)
	}
	want, err := openapi_v2.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Protobuf(swagger)
	if err != nil {
		t.Fatal(err)
	}
	got := &openapi_v2.Document{}
	if err := (proto.UnmarshalOptions{}).Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	if len(got.ProtoReflect().GetUnknown()) > 0 {
		t.Error("it has fields that gnostic does not know")
	}
	if len(got.GetPaths().GetPath()) != len(want.GetPaths().GetPath()) {
		t.Errorf("%d paths, want %d", len(got.GetPaths().GetPath()), len(want.GetPaths().GetPath()))
	}
	models := map[string]*openapi_v2.Schema{}
	for _, m := range got.GetDefinitions().GetAdditionalProperties() {
		models[m.GetName()] = m.GetValue()
	}
	for _, m := range want.GetDefinitions().GetAdditionalProperties() {
		g := models[m.GetName()]
		if g == nil {
			t.Errorf("model %s is missing", m.GetName())
			continue
		}
		if !sameSchema(g, m.GetValue()) {
			t.Errorf("model %s differs:\n got %v\nwant %v", m.GetName(), g, m.GetValue())
		}
	}
}

// sameSchema compares what kubectl reads: gnostic keeps an order and a style of YAML that mean nothing.
func sameSchema(a, b *openapi_v2.Schema) bool {
	if a.GetXRef() != b.GetXRef() || a.GetFormat() != b.GetFormat() || a.GetDescription() != b.GetDescription() ||
		!slices.Equal(a.GetRequired(), b.GetRequired()) || !slices.Equal(a.GetType().GetValue(), b.GetType().GetValue()) {
		return false
	}
	if (a.GetAdditionalProperties() == nil) != (b.GetAdditionalProperties() == nil) || len(a.GetItems().GetSchema()) != len(b.GetItems().GetSchema()) {
		return false
	}
	if a.GetAdditionalProperties() != nil && !sameSchema(a.GetAdditionalProperties().GetSchema(), b.GetAdditionalProperties().GetSchema()) {
		return false
	}
	for i, item := range a.GetItems().GetSchema() {
		if !sameSchema(item, b.GetItems().GetSchema()[i]) {
			return false
		}
	}
	properties := func(s *openapi_v2.Schema) map[string]*openapi_v2.Schema {
		all := map[string]*openapi_v2.Schema{}
		for _, p := range s.GetProperties().GetAdditionalProperties() {
			all[p.GetName()] = p.GetValue()
		}
		return all
	}
	extensions := func(s *openapi_v2.Schema) string {
		text, _ := json.Marshal(plain(kubeproto.VendorExtensionToMap(s.GetVendorExtension())))
		return string(text)
	}
	return extensions(a) == extensions(b) && maps.EqualFunc(properties(a), properties(b), sameSchema)
}

// plain makes the maps of YAML such that JSON can write them.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, below := range v {
			out[k] = plain(below)
		}
		return out
	case map[any]any:
		out := map[string]any{}
		for k, below := range v {
			out[k.(string)] = plain(below)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, below := range v {
			out[i] = plain(below)
		}
		return out
	}
	return v
}

// kubectl's own reader finds a model for each kind, and every reference leads somewhere.
func TestSwaggerForKubectl(t *testing.T) {
	data, err := Protobuf(Swagger(resource.All, "v0"))
	if err != nil {
		t.Fatal(err)
	}
	doc := &openapi_v2.Document{}
	if err := proto.Unmarshal(data, doc); err != nil {
		t.Fatal(err)
	}
	models, err := kubeproto.NewOpenAPIData(doc)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, name := range models.ListModels() {
		text, _ := json.Marshal(plain(models.LookupModel(name).GetExtensions()[gvkExtension]))
		kinds[string(text)] = true
	}
	for _, r := range resource.All {
		text, _ := json.Marshal([]any{gvkValue(r.GVK)})
		if !kinds[string(text)] {
			t.Errorf("no model says that it is %s", text)
		}
	}
	// Dry runs on the server, and kubectl diff, look for this in the patch of a kind.
	var patch *openapi_v2.Operation
	for _, p := range doc.GetPaths().GetPath() {
		if strings.HasSuffix(p.GetName(), "/deployments/{name}") {
			patch = p.GetValue().GetPatch()
		}
	}
	found := false
	for _, p := range patch.GetParameters() {
		found = found || p.GetParameter().GetNonBodyParameter().GetQueryParameterSubSchema().GetName() == "dryRun"
	}
	if !found {
		t.Error("the patch of deployments has no parameter dryRun")
	}
}

// Each form is made when it is first asked for, once, and kept compressed.
func TestSwaggerIsKept(t *testing.T) {
	d := documents()
	for _, form := range []Form{FormJSON, FormProtobuf} {
		first, err := d.Swagger(form)
		if err != nil {
			t.Fatal(err)
		}
		second, err := d.Swagger(form)
		if err != nil {
			t.Fatal(err)
		}
		if &first.Gzip[0] != &second.Gzip[0] || len(first.Gzip) > 200<<10 {
			t.Errorf("%s: %d bytes kept, made again: %v", form, len(first.Gzip), &first.Gzip[0] != &second.Gzip[0])
		}
	}
}

func BenchmarkSwagger(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Protobuf(Swagger(resource.All, "v0")); err != nil {
			b.Fatal(err)
		}
	}
}
