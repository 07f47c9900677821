package apiserver

import (
	"bytes"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// Eviction came as policy/v1beta1 before Kubernetes 1.22; both have the same fields.
var (
	evictionKind    = policyv1.SchemeGroupVersion.WithKind("Eviction")
	oldEvictionKind = policyv1beta1.SchemeGroupVersion.WithKind("Eviction")
)

// evict is the eviction subresource of pods, which kubectl drain uses: a deletion that could be refused. There
// are no PodDisruptionBudgets yet, so nothing refuses it. The pod's condition DisruptionTarget says why it ends.
func (c *call) evict() error {
	create, err := c.createOptions()
	if err != nil {
		return err
	}
	f, err := c.format()
	if err != nil {
		return err
	}
	eviction, err := c.decodeEviction(create.FieldValidation)
	if err != nil {
		return err
	}
	if err := c.checkIdentity(eviction); err != nil {
		return err
	}
	opts := eviction.DeleteOptions
	if opts == nil {
		opts = &metav1.DeleteOptions{}
	}
	if len(create.DryRun) > 0 {
		opts.DryRun = create.DryRun
	}
	if err := invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(opts)); err != nil {
		return err
	}
	dryRun := len(opts.DryRun) > 0
	err = retry(func() error {
		old, rec, err := c.loadRecord()
		if err != nil {
			return err
		}
		pod := old.(*corev1.Pod)
		if err := c.checkPreconditions(opts.Preconditions, pod); err != nil {
			return err
		}
		return c.disrupt(pod, rec, dryRun)
	})
	if err != nil {
		return err
	}
	// The mark is a write of its own, so a version that the client named has been compared.
	if p := opts.Preconditions; p != nil {
		opts.Preconditions = &metav1.Preconditions{UID: p.UID}
	}
	err = retry(func() error {
		_, _, err := c.deleteOne(c.key(), opts)
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	c.write(c.w, c.r, http.StatusCreated, f, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess, Code: http.StatusCreated,
	})
	return nil
}

// disrupt marks a pod that still has to end.
func (c *call) disrupt(pod *corev1.Pod, rec change.Record, dryRun bool) error {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if ended || pod.DeletionTimestamp != nil {
		return nil
	}
	resource.SetPodCondition(pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
		Message: "Eviction API: evicting", LastTransitionTime: metav1.NewTime(c.now).Rfc3339Copy(),
	})
	return c.commit(pod, rec, dryRun, "evicted by "+c.user.name)
}

// decodeEviction reads an Eviction of either version.
func (c *call) decodeEviction(fieldValidation string) (*policyv1.Eviction, error) {
	data, err := c.body()
	if err != nil {
		return nil, err
	}
	kind := evictionKind
	if versionOf(data) == policyv1beta1.SchemeGroupVersion.String() {
		kind = oldEvictionKind
	}
	eviction := &policyv1.Eviction{}
	if err := c.decodeBytes(data, c.r.Header.Get("Content-Type"), kind, eviction, fieldValidation); err != nil {
		return nil, err
	}
	return eviction, nil
}

// versionOf is the apiVersion that a body names, in any encoding; empty when it names none.
func versionOf(data []byte) string {
	if raw, ok := bytes.CutPrefix(data, []byte(protobufPrefix)); ok {
		var u runtime.Unknown
		_ = u.Unmarshal(raw) // decoding tells what is wrong
		return u.APIVersion
	}
	var said metav1.TypeMeta
	_ = yaml.Unmarshal(data, &said) // JSON is YAML; decoding tells what is wrong
	return said.APIVersion
}
