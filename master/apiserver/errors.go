package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/store"
)

// optimisticLock is what Kubernetes says of a write that was made from an old version.
var errOptimisticLock = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// reasonFull is the reason of a Status when the store takes no more writes. Kubernetes has none for it.
const reasonFull metav1.StatusReason = "InsufficientStorage"

// statusOf is the answer to an error: the one place where errors become Kubernetes' reasons and codes. gr and
// name are what the request was about.
func statusOf(err error, gr schema.GroupResource, name string) *apierrors.StatusError {
	if status := (*apierrors.StatusError)(nil); errors.As(err, &status) {
		return status
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", tooLarge.Limit))
	case errors.Is(err, store.ErrConflict):
		return apierrors.NewConflict(gr, name, errOptimisticLock)
	case errors.Is(err, store.ErrCompacted):
		return apierrors.NewResourceExpired("too old resource version")
	case errors.Is(err, store.ErrNotLeader):
		return apierrors.NewServiceUnavailable("this master does not lead the cluster; send the request to the leader")
	case errors.Is(err, store.ErrClosed):
		return apierrors.NewServiceUnavailable("this master is shutting down")
	case errors.Is(err, store.ErrFull):
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: reasonFull,
			Message: "the master's store has no room; delete objects or free space on its disk",
		}}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError("the request was not finished in time; it may still take effect", 1)
	}
	return apierrors.NewInternalError(err)
}

// unsupportedMedia refuses the content type of a body, notAcceptable that of an answer.
func unsupportedMedia(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType,
		Reason: metav1.StatusReasonUnsupportedMediaType, Message: message,
	}}
}

func notAcceptable() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: " + mediaJSON + ", " + mediaYAML + ", " + mediaProtobuf,
	}}
}

// notServed is Kubernetes' answer to a path that names no resource.
func notServed() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Details: &metav1.StatusDetails{}, Message: "the server could not find the requested resource",
	}}
}

// notAllowed is Kubernetes' answer to a verb that a resource doesn't have.
func notAllowed() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Details: &metav1.StatusDetails{}, Message: "the server does not allow this method on the requested resource",
	}}
}

// tooOld is the end of a watch that can't go on: the client lists again.
func tooOld(from, current fmt.Stringer) *apierrors.StatusError {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %s (%s)", from, current))
}
