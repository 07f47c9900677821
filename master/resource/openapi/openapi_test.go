package openapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	cliresource "k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/openapi"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	explain "k8s.io/kubectl/pkg/explain/v2"

	"github.com/skerry-edge/skerry/master/resource"
)

// served stands between the documents and kubectl's own code, in place of a server.
type served struct{ docs *Documents }

func (s served) Paths() (map[string]openapi.GroupVersion, error) {
	index, err := s.docs.Index()
	if err != nil {
		return nil, err
	}
	var list struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(index, &list); err != nil {
		return nil, err
	}
	paths := map[string]openapi.GroupVersion{}
	for path, at := range list.Paths {
		paths[path] = servedPath{s.docs, path, at.ServerRelativeURL}
	}
	return paths, nil
}

type servedPath struct {
	docs      *Documents
	path, url string
}

func (p servedPath) ServerRelativeURL() string { return p.url }

func (p servedPath) Schema(string) ([]byte, error) {
	doc, _, err := p.docs.Get(p.path)
	if err != nil {
		return nil, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(doc.Gzip))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

func documents() *Documents { return New(resource.All, "v0") }

// kubectl explain finds every kind, and the description of a field deep inside.
func TestExplain(t *testing.T) {
	for _, r := range resource.All {
		var out strings.Builder
		if err := explain.PrintModelDescription(nil, &out, served{documents()}, r.GVR(), false, 0, "plaintext"); err != nil {
			t.Errorf("explain %s: %v", r.GVR(), err)
			continue
		}
		if !strings.Contains(out.String(), "KIND:       "+r.GVK.Kind) {
			t.Errorf("explain %s says:\n%s", r.GVR(), out.String())
		}
	}
	var out strings.Builder
	path := []string{"spec", "containers"}
	if err := explain.PrintModelDescription(path, &out, served{documents()}, resource.Pods.GVR(), false, 0, "plaintext"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"FIELD: containers <[]Container>",
		"List of containers belonging to the pod.",
		"  image\t<string>",
		"  name\t<string> -required-",
		"  resources\t<ResourceRequirements>",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := explain.PrintModelDescription([]string{"spec"}, &out, served{documents()}, resource.Deployments.GVR(), true, 0, "plaintext"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "maxSurge\t<IntOrString>") {
		t.Errorf("no maxSurge in:\n%s", out.String())
	}
}

// kubectl leaves the validation of every kind that can be written to the server.
func TestFieldValidationIsFound(t *testing.T) {
	verifier := cliresource.NewQueryParamVerifierV3(nil, served{documents()}, cliresource.QueryParamFieldValidation)
	for _, r := range resource.All {
		err := verifier.HasSupport(r.GVK)
		if r.ReadOnly != (err != nil) {
			t.Errorf("%s, read only %t: %v", r.GVK, r.ReadOnly, err)
		}
	}
}

// A patch that kubectl computes from the document merges lists as one computed from the types.
func TestPatchMetaIsThatOfTheTypes(t *testing.T) {
	for _, r := range resource.All {
		models := Models([]*resource.Resource{r})
		fromTypes, err := strategicpatch.NewPatchMetaFromStruct(r.New())
		if err != nil {
			t.Fatal(err)
		}
		model := models[modelName(reflect.TypeOf(r.New()).Elem())]
		comparePatchMeta(t, r.GVK.Kind, fromTypes, strategicpatch.PatchMetaFromOpenAPIV3{SchemaList: models, Schema: model},
			reflect.TypeOf(r.New()).Elem(), 0)
	}
}

func comparePatchMeta(t *testing.T, path string, a, b strategicpatch.LookupPatchMeta, of reflect.Type, depth int) {
	t.Helper()
	if depth > 6 {
		return
	}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || f.Tag.Get("json") == "-" {
			continue
		}
		at, below := path+"."+name, f.Type
		for below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		lookup := func(m strategicpatch.LookupPatchMeta) (strategicpatch.LookupPatchMeta, strategicpatch.PatchMeta, error) {
			if below.Kind() == reflect.Slice {
				return m.LookupPatchMetadataForSlice(name)
			}
			return m.LookupPatchMetadataForStruct(name)
		}
		innerA, metaA, errA := lookup(a)
		innerB, metaB, errB := lookup(b)
		if errA != nil || errB != nil {
			t.Errorf("%s: %v, %v", at, errA, errB)
			continue
		}
		if metaA.GetPatchMergeKey() != metaB.GetPatchMergeKey() ||
			strings.Join(metaA.GetPatchStrategies(), ",") != strings.Join(metaB.GetPatchStrategies(), ",") {
			t.Errorf("%s: %v and %v", at, metaA, metaB)
		}
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct && len(b.(strategicpatch.PatchMetaFromOpenAPIV3).Schema.Properties) > 0 {
			if inner, ok := innerB.(strategicpatch.PatchMetaFromOpenAPIV3); ok && len(inner.Schema.Properties) > 0 {
				comparePatchMeta(t, at, innerA, innerB, below, depth+1)
			}
		}
	}
}

// Server-side apply can be built on the models: each kind turns into a typed value.
func TestModelsAreTypes(t *testing.T) {
	converter, err := managedfields.NewTypeConverter(Models(resource.All), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resource.All {
		o := r.New()
		o.GetObjectKind().SetGroupVersionKind(r.GVK)
		o.SetName("a")
		if _, err := converter.ObjectToTyped(o); err != nil {
			t.Errorf("%s: %v", r.GVK, err)
		}
	}
}

// Values that write themselves to JSON are described as what they write.
func TestSpecialTypes(t *testing.T) {
	models := Models(resource.All)
	for name, want := range map[string]spec.SchemaProps{
		"io.k8s.apimachinery.pkg.api.resource.Quantity":   {OneOf: []spec.Schema{simple("string", ""), simple("number", "")}},
		"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {Format: "int-or-string", OneOf: []spec.Schema{simple("integer", ""), simple("string", "")}},
		"io.k8s.apimachinery.pkg.apis.meta.v1.Time":       {Type: []string{"string"}, Format: "date-time"},
		"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":  {Type: []string{"string"}, Format: "date-time"},
		"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":   {Type: []string{"object"}},
	} {
		got := models[name]
		if got == nil {
			t.Errorf("no model %s", name)
			continue
		}
		want.Description = got.Description
		if !reflect.DeepEqual(got.SchemaProps, want) {
			t.Errorf("%s is %+v", name, got.SchemaProps)
		}
	}
	data := models["io.k8s.api.core.v1.ConfigMap"].Properties["binaryData"]
	if below := data.AdditionalProperties.Schema; below.Format != "byte" {
		t.Errorf("binaryData holds %+v", below)
	}
}

// Every reference in a document leads somewhere in it.
func TestReferencesResolve(t *testing.T) {
	for gv := range groupVersions() {
		doc := Document(resource.All, gv, "v0")
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var again spec3.OpenAPI
		if err := json.Unmarshal(text, &again); err != nil {
			t.Errorf("%s does not read back: %v", gv, err)
		}
		for _, part := range strings.Split(string(text), `"$ref":"`+refPrefix)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if doc.Components.Schemas[name] == nil {
				t.Errorf("%s refers to %s", gv, name)
			}
		}
	}
}

// The same kinds make the same bytes, or every client would fetch them again after each start.
func TestDocumentsAreStable(t *testing.T) {
	a, err := documents().Index()
	if err != nil {
		t.Fatal(err)
	}
	b, err := documents().Index()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s\n%s", a, b)
	}
	if _, ok, _ := documents().Get("apis/nothing/v1"); ok {
		t.Error("a group that isn't served has a document")
	}
}

func groupVersions() map[schema.GroupVersion]bool {
	gvs := map[schema.GroupVersion]bool{}
	for _, r := range resource.All {
		gvs[r.GVK.GroupVersion()] = true
	}
	return gvs
}

// Descriptions come from the types.
func TestDescriptions(t *testing.T) {
	pod := Models([]*resource.Resource{resource.Pods})["io.k8s.api.core.v1.Pod"]
	if want := (corev1.Pod{}).SwaggerDoc()[""]; pod.Description != want {
		t.Errorf("a pod is %q", pod.Description)
	}
	if want := (metav1.TypeMeta{}).SwaggerDoc()["kind"]; pod.Properties["kind"].Description != want {
		t.Errorf("its kind is %q", pod.Properties["kind"].Description)
	}
}

func BenchmarkDocument(b *testing.B) {
	for b.Loop() {
		if _, err := encodeJSON(Document(resource.All, corev1.SchemeGroupVersion, "v0")); err != nil {
			b.Fatal(err)
		}
	}
}
