package apiserver

import (
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// Groups that may do something. Both are organisations of a client certificate.
const (
	GroupAdmins  = "skerry:admins"  // everything
	GroupViewers = "skerry:viewers" // read everything but secrets
)

// user is who sent a request.
type user struct {
	name   string
	groups []string
}

// authenticate reads the user out of the verified client certificate: the common name, and the organisations
// as groups.
func authenticate(r *http.Request) (user, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return user{}, apierrors.NewUnauthorized("Unauthorized")
	}
	subject := r.TLS.VerifiedChains[0][0].Subject
	if subject.CommonName == "" {
		return user{}, apierrors.NewUnauthorized("Unauthorized")
	}
	return user{
		name:   subject.CommonName,
		groups: append(slices.Clone(subject.Organization), "system:authenticated"),
	}, nil
}

// viewerSubresources are those that a viewer may read: the others connect to a container or hand out rights.
var viewerSubresources = []string{"", "status", "scale", "log"}

// authorize says no, in Kubernetes' words, unless the user may do this.
func authorize(u user, verb string, t target) error {
	gr := t.res.GVR().GroupResource()
	if u.may(verb, gr, t.subresource) {
		return nil
	}
	what := gr.Resource
	if t.subresource != "" {
		what += "/" + t.subresource
	}
	where := "at the cluster scope"
	if t.namespace != "" {
		where = fmt.Sprintf("in the namespace %q", t.namespace)
	}
	return apierrors.NewForbidden(gr, t.name,
		//lint:ignore ST1005 Kubernetes' own words
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", u.name, verb, what, gr.Group, where))
}

// may reports whether the user may do this to a resource, in any namespace. Everybody may ask about themselves.
func (u user) may(verb string, gr schema.GroupResource, subresource string) bool {
	if slices.Contains(u.groups, GroupAdmins) {
		return true
	}
	for _, r := range resource.Reviews {
		if r.GVR().GroupResource() == gr && verb == verbCreate && subresource == "" {
			return true
		}
	}
	return slices.Contains(u.groups, GroupViewers) && slices.Contains(readingVerbs, verb) &&
		gr.Resource != "secrets" && gr.Resource != "*" && slices.Contains(viewerSubresources, subresource)
}

// mayPath reports whether the user may do this to a path that names no resource: who has a certificate may read.
func (u user) mayPath(verb string) bool {
	return slices.Contains(u.groups, GroupAdmins) || verb == verbGet
}

// readingVerbs are those that change nothing.
var readingVerbs = []string{verbGet, verbList, verbWatch}
