package openapi

import (
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// parameter is a query parameter.
type parameter struct{ name, kind, description string }

// The parameters of each kind of request. kubectl looks for fieldValidation before it trusts the server with
// finding unknown fields.
var (
	writeParameters = []parameter{
		{"dryRun", "string", "When All, everything happens except that the object is stored."},
		{"fieldManager", "string", "The name of who makes these changes."},
		{"fieldValidation", "string", "What to do about unknown and duplicate fields: Ignore, Warn or Strict."},
	}
	patchParameters  = append([]parameter{{"force", "boolean", "Take over fields that others manage."}}, writeParameters...)
	deleteParameters = []parameter{
		{"dryRun", "string", "When All, everything happens except that the object is deleted."},
		{"gracePeriodSeconds", "integer", "How long the object may take to end by itself; zero deletes it at once."},
		{"propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."},
	}
	listParameters = []parameter{
		{"allowWatchBookmarks", "boolean", "Asks for BOOKMARK events."},
		{"continue", "string", "Where the next page begins, as the last page said."},
		{"fieldSelector", "string", "Restricts the objects by their fields."},
		{"labelSelector", "string", "Restricts the objects by their labels."},
		{"limit", "integer", "The most objects in one answer."},
		{"resourceVersion", "string", "The version to read at or to watch from."},
		{"resourceVersionMatch", "string", "How resourceVersion is meant for lists: NotOlderThan or Exact."},
		{"sendInitialEvents", "boolean", "Begins a watch with what is there."},
		{"timeoutSeconds", "integer", "When to end the request."},
		{"watch", "boolean", "Go on with the changes."},
	}
)

func (p parameter) query() *spec3.Parameter {
	s := simple(p.kind, "")
	return &spec3.Parameter{ParameterProps: spec3.ParameterProps{
		Name: p.name, In: "query", Description: p.description, Schema: &s,
	}}
}

func pathParameter(name string) *spec3.Parameter {
	return &spec3.Parameter{ParameterProps: spec3.ParameterProps{
		Name: name, In: "path", Required: true, Schema: spec.StringProperty(),
	}}
}
