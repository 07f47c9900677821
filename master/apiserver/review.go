package apiserver

import (
	"net/http"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/resource"
)

// review answers what a user asks about themselves: `kubectl auth can-i` and `whoami`.
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
		r.Status.UserInfo = authenticationv1.UserInfo{Username: c.user.name, Groups: c.user.groups}
	case *authorizationv1.SelfSubjectAccessReview:
		if err := c.invalid("", checkAccessReview(&r.Spec)); err != nil {
			return err
		}
		r.Status = c.user.access(&r.Spec)
	case *authorizationv1.SelfSubjectRulesReview:
		if r.Spec.Namespace == "" {
			return apierrors.NewBadRequest("no namespace on request")
		}
		r.Status = c.user.rules()
	}
	c.write(c.w, c.r, http.StatusCreated, f, asked)
	return nil
}

// checkAccessReview is Kubernetes' rule (pkg/apis/authorization/validation).
func checkAccessReview(spec *authorizationv1.SelfSubjectAccessReviewSpec) field.ErrorList {
	path := field.NewPath("spec")
	switch {
	case spec.ResourceAttributes != nil && spec.NonResourceAttributes != nil:
		return field.ErrorList{field.Invalid(path.Child("nonResourceAttributes"), spec.NonResourceAttributes,
			"cannot be specified in combination with resourceAttributes")}
	case spec.ResourceAttributes == nil && spec.NonResourceAttributes == nil:
		return field.ErrorList{field.Invalid(path.Child("resourceAttributes"), spec.NonResourceAttributes,
			"exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	return nil
}

// access is whether the user may do what a review names.
func (u user) access(spec *authorizationv1.SelfSubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
	var allowed bool
	if at := spec.ResourceAttributes; at != nil {
		allowed = u.may(at.Verb, schema.GroupResource{Group: at.Group, Resource: at.Resource}, at.Subresource)
	} else {
		allowed = u.mayPath(spec.NonResourceAttributes.Verb)
	}
	if allowed {
		return authorizationv1.SubjectAccessReviewStatus{Allowed: true}
	}
	return authorizationv1.SubjectAccessReviewStatus{
		Reason: "only members of " + GroupAdmins + " may, and of " + GroupViewers + " to read anything but secrets",
	}
}

// rules are all that the user may do; they are the same in every namespace.
func (u user) rules() authorizationv1.SubjectRulesReviewStatus {
	var status authorizationv1.SubjectRulesReviewStatus
	all := []string{"*"}
	if u.may("*", schema.GroupResource{Group: "*", Resource: "*"}, "*") {
		status.ResourceRules = []authorizationv1.ResourceRule{{Verbs: all, APIGroups: all, Resources: all}}
		status.NonResourceRules = []authorizationv1.NonResourceRule{{Verbs: all, NonResourceURLs: all}}
		return status
	}
	status.NonResourceRules = []authorizationv1.NonResourceRule{{Verbs: []string{verbGet}, NonResourceURLs: all}}
	for _, r := range resource.Reviews {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: []string{verbCreate}, APIGroups: []string{r.GVK.Group}, Resources: []string{r.Plural()},
		})
	}
	for _, r := range slices.Concat(resource.All, resource.Measured) {
		readable := authorizationv1.ResourceRule{Verbs: readingVerbs, APIGroups: []string{r.GVK.Group}}
		if u.may(verbGet, r.GVR().GroupResource(), "") {
			readable.Resources = append(readable.Resources, r.Plural())
		}
		for _, sub := range subresourcesOf(r) {
			if u.may(verbGet, r.GVR().GroupResource(), sub.name) {
				readable.Resources = append(readable.Resources, r.Plural()+"/"+sub.name)
			}
		}
		if len(readable.Resources) > 0 {
			status.ResourceRules = append(status.ResourceRules, readable)
		}
	}
	return status
}
