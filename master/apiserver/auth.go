package apiserver

import (
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
)

// Groups of people, which are organisations of their client certificates. What the second may do is a ClusterRole.
const (
	GroupAdmins  = authz.GroupAdmins // everything
	GroupViewers = "skerry:viewers"  // read everything but secrets
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
		groups: append(slices.Clone(subject.Organization), authz.GroupAuthenticated),
	}, nil
}
