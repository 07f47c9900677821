package apiserver

import (
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	if slices.Contains(u.groups, GroupAdmins) {
		return nil
	}
	reads := verb == verbGet || verb == verbList || verb == verbWatch
	if slices.Contains(u.groups, GroupViewers) && reads && t.res.Kind != "secrets" &&
		slices.Contains(viewerSubresources, t.subresource) {
		return nil
	}
	gr := t.res.GVR().GroupResource()
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
