package openapi

import (
	"reflect"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/skerry-edge/skerry/master/resource"
)

// Document describes the kinds of one group and version: their models, and the paths they are served at with what
// can be done there.
func Document(resources []*resource.Resource, gv schema.GroupVersion, version string) *spec3.OpenAPI {
	var served []*resource.Resource
	for _, r := range resources {
		if r.GVK.GroupVersion() == gv {
			served = append(served, r)
		}
	}
	d := document{models: models(Models(served)), paths: map[string]*spec3.Path{}}
	for _, r := range served {
		d.addResource(r)
	}
	return &spec3.OpenAPI{
		Version:    "3.0.0",
		Info:       &spec.Info{InfoProps: spec.InfoProps{Title: "Skerry", Version: version}},
		Paths:      &spec3.Paths{Paths: d.paths},
		Components: &spec3.Components{Schemas: d.models},
	}
}

// Path is where the document of a group and version is, below /openapi/v3/.
func Path(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

type document struct {
	models models
	paths  map[string]*spec3.Path
}

// body is the type that goes in or comes out.
func (d document) body(o any) *spec.Schema {
	return &spec.Schema{SchemaProps: spec.SchemaProps{Ref: d.models.ref(reflect.TypeOf(o).Elem())}}
}

// addResource adds the paths of a kind and of its subresources.
func (d document) addResource(r *resource.Resource) {
	base := "/" + Path(r.GVK.GroupVersion()) + "/"
	if r.Asked {
		d.paths[base+r.Plural()] = &spec3.Path{PathProps: spec3.PathProps{Post: d.operation("post", r.GVK, r.New(), r.New(), writeParameters)}}
		return
	}
	var scope []*spec3.Parameter
	if r.Namespaced {
		d.paths[base+r.Plural()] = &spec3.Path{PathProps: spec3.PathProps{Get: d.operation("list", r.GVK, nil, r.NewList(), listParameters)}}
		base += "namespaces/{namespace}/"
		scope = append(scope, pathParameter("namespace"))
	}
	item := append(append([]*spec3.Parameter{}, scope...), pathParameter("name"))

	all := &spec3.Path{PathProps: spec3.PathProps{Parameters: scope}}
	all.Get = d.operation("list", r.GVK, nil, r.NewList(), listParameters)
	if !r.ReadOnly {
		all.Post = d.operation("post", r.GVK, r.New(), r.New(), writeParameters)
		all.Delete = d.operation("deletecollection", r.GVK, &metav1.DeleteOptions{}, &metav1.Status{}, listParameters)
	}
	d.paths[base+r.Plural()] = all

	one := d.readWrite(r.GVK, r.New(), item, r.ReadOnly)
	if !r.ReadOnly {
		one.Delete = d.operation("delete", r.GVK, &metav1.DeleteOptions{}, &metav1.Status{}, deleteParameters)
	}
	d.paths[base+r.Plural()+"/{name}"] = one

	if r.Status {
		d.paths[base+r.Plural()+"/{name}/status"] = d.readWrite(r.GVK, r.New(), item, r.ReadOnly)
	}
	if r.Scale != nil {
		scale := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
		d.models.addKind(&autoscalingv1.Scale{}, scale)
		d.paths[base+r.Plural()+"/{name}/scale"] = d.readWrite(scale, &autoscalingv1.Scale{}, item, r.ReadOnly)
	}
}

// readWrite is the path of one object, to be read, replaced and patched.
func (d document) readWrite(gvk schema.GroupVersionKind, o any, at []*spec3.Parameter, readOnly bool) *spec3.Path {
	path := &spec3.Path{PathProps: spec3.PathProps{Parameters: at, Get: d.operation("get", gvk, nil, o, nil)}}
	if readOnly {
		return path
	}
	path.Put = d.operation("put", gvk, o, o, writeParameters)
	path.Patch = d.operation("patch", gvk, &metav1.Patch{}, o, patchParameters)
	return path
}

// patchTypes are the content types of patches; kubectl sends what is listed here.
var patchTypes = []string{
	"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
}

func (d document) operation(action string, gvk schema.GroupVersionKind, in, out any, parameters []parameter) *spec3.Operation {
	op := &spec3.Operation{OperationProps: spec3.OperationProps{
		Responses: &spec3.Responses{ResponsesProps: spec3.ResponsesProps{StatusCodeResponses: map[int]*spec3.Response{
			200: {ResponseProps: spec3.ResponseProps{Description: "OK", Content: d.content(out, "application/json")}},
		}}},
	}}
	for _, p := range parameters {
		op.Parameters = append(op.Parameters, p.query())
	}
	if in != nil {
		types := []string{"application/json"}
		if action == "patch" {
			types = patchTypes
		}
		op.RequestBody = &spec3.RequestBody{RequestBodyProps: spec3.RequestBodyProps{Content: d.content(in, types...)}}
	}
	op.AddExtension("x-kubernetes-action", action)
	op.AddExtension(gvkExtension, gvkValue(gvk))
	return op
}

func (d document) content(o any, types ...string) map[string]*spec3.MediaType {
	content := map[string]*spec3.MediaType{}
	for _, t := range types {
		content[t] = &spec3.MediaType{MediaTypeProps: spec3.MediaTypeProps{Schema: d.body(o)}}
	}
	return content
}
