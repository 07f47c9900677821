package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/master/resource"
)

// who is the user as the policy knows them.
func (u user) who() authz.User { return authz.User{Name: u.name, Groups: u.groups} }

// connecting are the subresources that connect to a container.
var connecting = []string{"exec", "attach", "portforward"}

// attributes are what the call wants to do.
func (c *call) attributes() authz.Attributes {
	gr := c.groupResource()
	a := authz.Attributes{
		Verb: c.verb, Group: gr.Group, Resource: gr.Resource, Subresource: c.subresource, Namespace: c.namespace, Name: c.name,
	}
	if c.verb == verbList || c.verb == verbWatch && a.Name == "" {
		// As in Kubernetes: who selects one object by its name needs the right to that one alone.
		if selector, err := fields.ParseSelector(c.query.Get("fieldSelector")); err == nil {
			a.Name, _ = selector.RequiresExactMatch("metadata.name")
		}
	}
	if c.res == resource.Namespaces && c.name != "" {
		a.Namespace = c.name // rights in a namespace include those to itself
	}
	return a
}

// authorize says no, in Kubernetes' words, unless the user may do this.
func (c *call) authorize() error {
	a := c.attributes()
	if err := c.allow(c.user, a); err != nil {
		return err
	}
	if a.Verb == verbGet && slices.Contains(connecting, c.subresource) {
		// Websockets begin with GET, which must not be enough: whoever may read pods may not enter them. Kubernetes
		// asks for both since 1.35.
		a.Verb = verbCreate
		return c.allow(c.user, a)
	}
	return nil
}

// allow says no, in Kubernetes' words, unless the user may do this.
func (s *Server) allow(u user, a authz.Attributes) error {
	policy, err := s.policies.now()
	if err != nil {
		return err
	}
	allowed, reason := policy.Authorize(u.who(), a)
	if allowed {
		return nil
	}
	message := refusal(u, a)
	if reason != "" {
		message += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.Group, Resource: a.Resource}, a.Name, errors.New(message))
}

// refusal is what Kubernetes says (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters).
func refusal(u user, a authz.Attributes) string {
	if a.Path != "" {
		return fmt.Sprintf("User %q cannot %s path %q", u.name, a.Verb, a.Path)
	}
	what := a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	where := "at the cluster scope"
	if a.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", a.Namespace)
	}
	return fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", u.name, a.Verb, what, a.Group, where)
}

// authorizeSpecial is authorize for what is no resource of the store.
func (s *Server) authorizeSpecial(u user, verb string, gr schema.GroupResource, name string) error {
	return s.allow(u, authz.Attributes{Verb: verb, Group: gr.Group, Resource: gr.Resource, Name: name})
}

// authorizePath is authorize for a path that names no resource.
func (s *Server) authorizePath(u user, method, path string) error {
	return s.allow(u, authz.Attributes{Verb: strings.ToLower(method), Path: path})
}

// refuseImpersonation: nobody acts as somebody else here, and a request that asks for it must not be answered as if it
// had not.
func refuseImpersonation(u user, header http.Header) error {
	for name := range header {
		if strings.HasPrefix(name, "Impersonate-") {
			//lint:ignore ST1005 Kubernetes' own words
			return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q cannot act as somebody else: impersonation is not supported by skerry; leave out --as and --as-group", u.name))
		}
	}
	return nil
}
