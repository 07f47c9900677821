package apiserver

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
)

// review answers what a user asks about rights: `kubectl auth can-i` and `whoami`.
func (c *call) review() error {
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	f, err := c.format()
	if err != nil {
		return err
	}
	asked := c.res.New()
	if err := c.decode(c.res.GVK, asked, opts.FieldValidation); err != nil {
		return err
	}
	switch r := asked.(type) {
	case *authenticationv1.SelfSubjectReview:
		r.Status.UserInfo = c.user.info()
	case *authenticationv1.TokenReview:
		if err := c.reviewToken(r); err != nil {
			return err
		}
	case *authorizationv1.SelfSubjectAccessReview:
		if err := c.invalid("", checkAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)); err != nil {
			return err
		}
		if r.Status, err = c.access(c.user, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes); err != nil {
			return err
		}
	case *authorizationv1.SubjectAccessReview:
		if err := c.invalid("", checkAccessReview(&r.Spec)); err != nil {
			return err
		}
		if r.Status, err = c.accessOf(&r.Spec); err != nil {
			return err
		}
	case *authorizationv1.LocalSubjectAccessReview:
		if r.Namespace != "" && r.Namespace != c.namespace {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
		if err := c.invalid("", checkLocalReview(&r.Spec, c.namespace)); err != nil {
			return err
		}
		if r.Status, err = c.accessOf(&r.Spec); err != nil {
			return err
		}
	case *authorizationv1.SelfSubjectRulesReview:
		if r.Spec.Namespace == "" {
			return apierrors.NewBadRequest("no namespace on request")
		}
		if r.Status, err = c.rules(c.user, r.Spec.Namespace); err != nil {
			return err
		}
	}
	c.write(c.w, c.r, http.StatusCreated, f, asked)
	return nil
}

// checkAttributes is Kubernetes' rule (pkg/apis/authorization/validation), as are those that follow.
func checkAttributes(at *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) field.ErrorList {
	spec := field.NewPath("spec")
	switch {
	case at != nil && path != nil:
		return field.ErrorList{field.Invalid(spec.Child("nonResourceAttributes"), path, "cannot be specified in combination with resourceAttributes")}
	case at == nil && path == nil:
		return field.ErrorList{field.Invalid(spec.Child("resourceAttributes"), path, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	return nil
}

func checkAccessReview(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := checkAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return errs
}

func checkLocalReview(spec *authorizationv1.SubjectAccessReviewSpec, namespace string) field.ErrorList {
	errs := checkAccessReview(spec)
	if at := spec.ResourceAttributes; at != nil && at.Namespace != namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec", "resourceAttributes", "namespace"), at.Namespace, "must match metadata.namespace"))
	}
	if spec.NonResourceAttributes != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec", "nonResourceAttributes"), spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	return errs
}

// accessOf is whether the user that a review names may do what it names.
func (s *Server) accessOf(spec *authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
	return s.access(user{name: spec.User, groups: spec.Groups}, spec.ResourceAttributes, spec.NonResourceAttributes)
}

// access is whether a user may do what a review names.
func (s *Server) access(u user, at *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) (authorizationv1.SubjectAccessReviewStatus, error) {
	var a authz.Attributes
	if at != nil {
		a = authz.Attributes{
			Verb: at.Verb, Group: at.Group, Resource: at.Resource, Subresource: at.Subresource, Namespace: at.Namespace, Name: at.Name,
		}
	} else {
		a = authz.Attributes{Verb: path.Verb, Path: path.Path}
	}
	policy, err := s.policies.now()
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, err
	}
	allowed, reason := policy.Authorize(u.who(), a)
	return authorizationv1.SubjectAccessReviewStatus{Allowed: allowed, Reason: reason}, nil
}

// rules are all that the user may do in a namespace.
func (s *Server) rules(u user, namespace string) (authorizationv1.SubjectRulesReviewStatus, error) {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	policy, err := s.policies.now()
	if err != nil {
		return status, err
	}
	for _, r := range policy.RulesFor(u.who(), namespace) {
		if len(r.NonResourceURLs) > 0 {
			status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
		if len(r.Resources) > 0 {
			status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
	}
	return status, nil
}
