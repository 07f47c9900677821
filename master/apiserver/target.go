package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// target is what a path of the API names.
type target struct {
	res         *resource.Resource
	namespace   string // empty: cluster-wide, or all namespaces
	name        string // empty: the collection
	subresource string
}

// parseTarget reads a path below /api or /apis that names a resource; ok is false where it names none that is
// served. Paths are those of Kubernetes:
//
//	/api/v1/… or /apis/GROUP/VERSION/…, then [namespaces/NAMESPACE/]PLURAL[/NAME[/SUBRESOURCE]]
func (s *Server) parseTarget(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var gv schema.GroupVersion
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		gv, parts = schema.GroupVersion{Version: parts[1]}, parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		gv, parts = schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:]
	default:
		return target{}, false
	}
	var t target
	// namespaces/N/PLURAL is in namespace N; namespaces/N and namespaces/N/status are the Namespace itself.
	if len(parts) >= 3 && parts[0] == "namespaces" {
		if r := s.resources[gv][parts[2]]; r != nil && r.Namespaced {
			t.namespace, parts = parts[1], parts[2:]
			if t.namespace == "" {
				return target{}, false
			}
		}
	}
	t.res = s.resources[gv][parts[0]]
	if t.res == nil || len(parts) > 3 {
		return target{}, false
	}
	if len(parts) > 1 {
		t.name = parts[1]
	}
	if len(parts) > 2 {
		t.subresource = parts[2]
	}
	if t.name == "" && len(parts) > 1 || t.subresource == "" && len(parts) > 2 {
		return target{}, false
	}
	if t.subresource != "" && !slices.ContainsFunc(subresourcesOf(t.res), func(s subresource) bool { return s.name == t.subresource }) {
		return target{}, false
	}
	if t.res.Namespaced && t.namespace == "" && t.name != "" {
		return target{}, false // an object of a namespaced kind has a namespace in its path
	}
	return t, true
}

// Verbs are those of Kubernetes' RBAC.
const (
	verbGet              = "get"
	verbList             = "list"
	verbWatch            = "watch"
	verbCreate           = "create"
	verbUpdate           = "update"
	verbPatch            = "patch"
	verbDelete           = "delete"
	verbDeleteCollection = "deletecollection"
)

// verb is what a request asks for; empty when its method means nothing here.
func (t target) verb(method string, query url.Values) string {
	watch := query.Get("watch") == "true" || query.Get("watch") == "1"
	switch {
	case method == http.MethodGet && t.name == "" && watch:
		return verbWatch
	case method == http.MethodGet && t.name == "":
		return verbList
	case method == http.MethodGet && t.name != "" && watch && t.subresource == "":
		return verbWatch
	case method == http.MethodGet || method == http.MethodHead:
		return verbGet
	case method == http.MethodPost && (t.name == "" || t.subresource != ""):
		return verbCreate
	case method == http.MethodPut && t.name != "":
		return verbUpdate
	case method == http.MethodPatch && t.name != "":
		return verbPatch
	case method == http.MethodDelete && t.name != "":
		return verbDelete
	case method == http.MethodDelete:
		return verbDeleteCollection
	}
	return ""
}

// lasts reports whether a request may last as long as a watch, and is counted among those.
func (t target) lasts(verb string) bool {
	if t.res == nil || t.subresource == "" {
		return verb == verbWatch || t.res != nil && t.res.Measured
	}
	for _, sub := range subresourcesOf(t.res) {
		if sub.name == t.subresource {
			return sub.lasts
		}
	}
	return false
}

// verbs are those that the kind itself serves, in the order in which Kubernetes lists them.
func verbs(r *resource.Resource) []string {
	if r.Asked {
		return []string{verbCreate}
	}
	if r.Measured {
		return []string{verbGet, verbList}
	}
	if r.ReadOnly {
		return []string{verbGet, verbList, verbWatch}
	}
	return []string{verbCreate, verbDelete, verbDeleteCollection, verbGet, verbList, verbPatch, verbUpdate, verbWatch}
}
