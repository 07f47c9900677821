package apiserver

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
		if r.Status, err = c.access(c.user, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes); err != nil {
			return err
		}
	case *authorizationv1.SubjectAccessReview:
		self := authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: r.Spec.ResourceAttributes, NonResourceAttributes: r.Spec.NonResourceAttributes}
		errs := checkAccessReview(&self)
		if r.Spec.User == "" && len(r.Spec.Groups) == 0 {
			errs = append(errs, field.Invalid(field.NewPath("spec", "user"), r.Spec.User, "at least one of user or group must be specified"))
		}
		if err := c.invalid("", errs); err != nil {
			return err
		}
		if r.Status, err = c.access(user{name: r.Spec.User, groups: r.Spec.Groups}, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes); err != nil {
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
