package resource

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateDeployment(d, old *appsv1.Deployment) field.ErrorList {
	errs := deploymentFields.refuse(d)
	path := field.NewPath("spec")
	errs = append(errs, validateMeta(d, old, true, validation.NameIsDNSSubdomain)...)
	if old != nil {
		errs = append(errs, validation.ValidateImmutableField(d.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
	}
	errs = append(errs, validatePolicyPlace(d.Annotations)...)
	s := &d.Spec
	errs = append(errs, notNegative(path.Child("replicas"), s.Replicas)...)
	errs = append(errs, validateSelector(s.Selector, "deployment", path.Child("selector"))...)
	errs = append(errs, validateTemplate(&s.Template, s.Selector, path.Child("template"))...)
	errs = append(errs, validateStrategy(&s.Strategy, path.Child("strategy"))...)
	if r := s.Strategy.RollingUpdate; s.Template.Annotations[PartitionPolicy] == PolicyStop && r != nil && share(r.MaxSurge) > 0 {
		errs = append(errs, field.Invalid(path.Child("strategy", "rollingUpdate", "maxSurge"), r.MaxSurge.String(),
			"must be 0 for pods with "+PartitionPolicy+": "+PolicyStop+": a new one runs only when an old one has ended"))
	}
	errs = append(errs, notNegative(path.Child("minReadySeconds"), &s.MinReadySeconds)...)
	errs = append(errs, notNegative(path.Child("revisionHistoryLimit"), s.RevisionHistoryLimit)...)
	errs = append(errs, notNegative(path.Child("progressDeadlineSeconds"), s.ProgressDeadlineSeconds)...)
	if p := s.ProgressDeadlineSeconds; p != nil && *p <= s.MinReadySeconds {
		errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), *p, "must be greater than minReadySeconds"))
	}
	return errs
}

func validateStrategy(s *appsv1.DeploymentStrategy, path *field.Path) field.ErrorList {
	errs := oneOf(path.Child("type"), s.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)
	r, at := s.RollingUpdate, path.Child("rollingUpdate")
	switch {
	case s.Type == appsv1.RecreateDeploymentStrategyType && r != nil:
		errs = append(errs, field.Forbidden(at, "may not be specified when strategy `type` is 'Recreate'"))
	case s.Type == appsv1.RollingUpdateDeploymentStrategyType && r == nil:
		errs = append(errs, field.Required(at, "this should be defaulted and never be nil"))
	case s.Type == appsv1.RollingUpdateDeploymentStrategyType:
		unavailable, surge := at.Child("maxUnavailable"), at.Child("maxSurge")
		errs = append(errs, validateShare(r.MaxUnavailable, unavailable)...)
		errs = append(errs, validateShare(r.MaxSurge, surge)...)
		if share(r.MaxUnavailable) == 0 && share(r.MaxSurge) == 0 {
			errs = append(errs, field.Invalid(unavailable, r.MaxUnavailable.String(), "may not be 0 when `maxSurge` is 0"))
		}
		if r.MaxUnavailable != nil && r.MaxUnavailable.Type == intstr.String && share(r.MaxUnavailable) > 100 {
			errs = append(errs, field.Invalid(unavailable, r.MaxUnavailable.String(), "must not be greater than 100%"))
		}
	}
	return errs
}

// validateShare checks a number or a percentage.
func validateShare(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	switch {
	case v == nil:
		return field.ErrorList{field.Required(path, "this should be defaulted and never be nil")}
	case v.Type == intstr.String:
		return invalid(path, v.String(), utilvalidation.IsValidPercent(v.StrVal))
	default:
		return validation.ValidateNonnegativeField(int64(v.IntVal), path)
	}
}

// share is the number, or the number before the percent sign; 0 for what is neither.
func share(v *intstr.IntOrString) int {
	if v == nil {
		return 0
	}
	if v.Type == intstr.Int {
		return int(v.IntVal)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	if err != nil {
		return 0
	}
	return n
}
