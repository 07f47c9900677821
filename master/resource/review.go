package resource

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
)

// Questions: they are created, answered at once and never stored.
var (
	// SelfSubjectAccessReviews is authorization.k8s.io/v1 SelfSubjectAccessReview: `kubectl auth can-i`.
	SelfSubjectAccessReviews = &Resource{
		Kind:     "selfsubjectaccessreviews.authorization.k8s.io",
		GVK:      authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"),
		Singular: "selfsubjectaccessreview",
		Asked:    true,
		New:      func() Object { return &authorizationv1.SelfSubjectAccessReview{} },
	}
	// SubjectAccessReviews is authorization.k8s.io/v1 SubjectAccessReview: what somebody else may do.
	SubjectAccessReviews = &Resource{
		Kind:     "subjectaccessreviews.authorization.k8s.io",
		GVK:      authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"),
		Singular: "subjectaccessreview",
		Asked:    true,
		New:      func() Object { return &authorizationv1.SubjectAccessReview{} },
	}
	// LocalSubjectAccessReviews is authorization.k8s.io/v1 LocalSubjectAccessReview: the same, in one namespace.
	LocalSubjectAccessReviews = &Resource{
		Kind:       "localsubjectaccessreviews.authorization.k8s.io",
		GVK:        authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview"),
		Singular:   "localsubjectaccessreview",
		Namespaced: true,
		Asked:      true,
		New:        func() Object { return &authorizationv1.LocalSubjectAccessReview{} },
	}
	// SelfSubjectRulesReviews is authorization.k8s.io/v1 SelfSubjectRulesReview: `kubectl auth can-i --list`.
	SelfSubjectRulesReviews = &Resource{
		Kind:     "selfsubjectrulesreviews.authorization.k8s.io",
		GVK:      authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectRulesReview"),
		Singular: "selfsubjectrulesreview",
		Asked:    true,
		New:      func() Object { return &authorizationv1.SelfSubjectRulesReview{} },
	}
	// TokenReviews is authentication.k8s.io/v1 TokenReview: whose token somebody has been shown.
	TokenReviews = &Resource{
		Kind:     "tokenreviews.authentication.k8s.io",
		GVK:      authenticationv1.SchemeGroupVersion.WithKind("TokenReview"),
		Singular: "tokenreview",
		Asked:    true,
		New:      func() Object { return &authenticationv1.TokenReview{} },
	}
	// SelfSubjectReviews is authentication.k8s.io/v1 SelfSubjectReview: `kubectl auth whoami`.
	SelfSubjectReviews = &Resource{
		Kind:     "selfsubjectreviews.authentication.k8s.io",
		GVK:      authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"),
		Singular: "selfsubjectreview",
		Asked:    true,
		New:      func() Object { return &authenticationv1.SelfSubjectReview{} },
	}
)
