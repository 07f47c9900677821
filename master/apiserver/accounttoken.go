package apiserver

import (
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

var tokenRequestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// defaultTokenLifetime is Kubernetes'.
const defaultTokenLifetime = time.Hour

// accountToken is the token subresource of service accounts: `kubectl create token`.
func (c *call) accountToken() error {
	if c.TokenKeys == nil {
		return apierrors.NewServiceUnavailable("this master makes no tokens of service accounts")
	}
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	f, err := c.format()
	if err != nil {
		return err
	}
	ask := &authenticationv1.TokenRequest{}
	if err := c.decode(tokenRequestKind, ask, opts.FieldValidation); err != nil {
		return err
	}
	if err := c.checkIdentity(ask); err != nil {
		return err
	}
	lifetime, errs := tokenLifetime(&ask.Spec)
	if len(errs) > 0 {
		return apierrors.NewInvalid(tokenRequestKind.GroupKind(), c.name, errs)
	}
	if lifetime > authn.MaxLifetime {
		c.warn([]string{fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", int64(lifetime/time.Second), int64(authn.MaxLifetime/time.Second))})
		lifetime = authn.MaxLifetime
	}
	object, _, err := c.loadRecord()
	if err != nil {
		return err
	}
	if ask.UID != "" && ask.UID != object.GetUID() {
		return c.checkPreconditions(&metav1.Preconditions{UID: &ask.UID}, object)
	}
	if len(ask.Spec.Audiences) == 0 {
		ask.Spec.Audiences = []string{authn.Audience}
	}
	claim := authn.Claim{
		ID: string(uuid.NewUUID()), Account: authn.RefTo(object), Namespace: c.namespace, Audiences: ask.Spec.Audiences,
		Issued: c.now, Expires: c.now.Add(lifetime),
	}
	if ref := ask.Spec.BoundObjectRef; ref != nil {
		if err := c.bindToken(c.Store.View(), &claim, ref); err != nil {
			return err
		}
	}
	seconds := int64(lifetime / time.Second)
	ask.Spec.ExpirationSeconds = &seconds
	ask.Status = authenticationv1.TokenRequestStatus{ExpirationTimestamp: metav1.NewTime(claim.Expires).Rfc3339Copy()}
	if len(opts.DryRun) == 0 {
		if ask.Status.Token, err = c.TokenKeys.Sign(claim); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	ask.CreationTimestamp = metav1.NewTime(c.now).Rfc3339Copy()
	c.w.Header().Set("Cache-Control", "no-store")
	c.write(c.w, c.r, http.StatusCreated, f, ask)
	return nil
}

// tokenLifetime is Kubernetes' rule (pkg/apis/authentication/validation).
func tokenLifetime(spec *authenticationv1.TokenRequestSpec) (time.Duration, field.ErrorList) {
	if spec.ExpirationSeconds == nil {
		return defaultTokenLifetime, nil
	}
	path, seconds := field.NewPath("spec", "expirationSeconds"), *spec.ExpirationSeconds
	switch {
	case seconds < int64(authn.MinLifetime/time.Second):
		return 0, field.ErrorList{field.Invalid(path, seconds, "may not specify a duration less than 10 minutes")}
	case seconds > 1<<32:
		return 0, field.ErrorList{field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")}
	}
	return time.Duration(seconds) * time.Second, nil
}

// bindToken makes a token end with an object.
func (c *call) bindToken(view change.View, claim *authn.Claim, ref *authenticationv1.BoundObjectReference) error {
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	var res *resource.Resource
	var place **authn.Ref
	namespace := c.namespace
	switch {
	case kind.Group == "" && kind.Kind == "Pod":
		res, place = resource.Pods, &claim.Pod
	case kind.Group == "" && kind.Kind == "Secret":
		res, place = resource.Secrets, &claim.Secret
	case kind.Group == "" && kind.Kind == "Node":
		res, place, namespace = resource.Nodes, &claim.Node, ""
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", kind))
	}
	rec, ok := view.Get(res.Key(namespace, ref.Name))
	if !ok {
		return apierrors.NewNotFound(res.GVR().GroupResource(), ref.Name)
	}
	object, err := res.Decode(rec)
	if err != nil {
		return err
	}
	if pod, ok := object.(*corev1.Pod); ok && accountOf(pod) != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", c.name))
	}
	if ref.UID != "" && ref.UID != object.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, ref.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	to := authn.RefTo(object)
	*place = &to
	return nil
}

// accountOf is the service account of a pod.
func accountOf(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName == "" {
		return resource.DefaultServiceAccount
	}
	return pod.Spec.ServiceAccountName
}

// reviewToken says whose token somebody has been shown.
func (c *call) reviewToken(r *authenticationv1.TokenReview) error {
	if r.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	audiences := r.Spec.Audiences
	if len(audiences) == 0 {
		audiences = []string{authn.Audience}
	}
	r.Status = authenticationv1.TokenReviewStatus{}
	if c.TokenKeys == nil {
		r.Status.Error = "this master makes no tokens of service accounts"
		return nil
	}
	account, both, err := c.TokenKeys.Account(r.Spec.Token, audiences, c.Store.View(), c.now)
	if err != nil {
		r.Status.Error = err.Error()
		return nil
	}
	r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: known(account).info(), Audiences: both}
	return nil
}

// info is the user as the API shows them.
func (u user) info() authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.name, UID: u.uid, Groups: u.groups}
	for key, values := range u.extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[key] = values
	}
	return info
}
