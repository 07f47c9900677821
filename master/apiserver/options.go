package apiserver

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/change"
)

// listOptions reads and checks the query of a list, a watch or a deletion of many.
func (c *call) listOptions() (*metav1.ListOptions, error) {
	opts := &metav1.ListOptions{}
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&c.query, opts, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	check := checkList
	if c.verb == verbWatch {
		check = checkWatch
	}
	if opts.Limit < 0 {
		return nil, invalidOptions("ListOptions", field.ErrorList{field.Invalid(field.NewPath("limit"), opts.Limit, "must be greater than or equal to 0")})
	}
	return opts, invalidOptions("ListOptions", check(opts))
}

// checkList and checkWatch are Kubernetes' rules for options that exclude or need each other (apimachinery,
// internalversion/validation).
func checkList(opts *metav1.ListOptions) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("resourceVersionMatch")
	switch match := opts.ResourceVersionMatch; match {
	case "":
	case metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan:
		if opts.ResourceVersion == "" {
			errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
		}
		if opts.Continue != "" {
			errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
		}
		if match == metav1.ResourceVersionMatchExact && opts.ResourceVersion == "0" {
			errs = append(errs, field.Forbidden(path, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`))
		}
	default:
		errs = append(errs, field.NotSupported(path, match, []metav1.ResourceVersionMatch{
			metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan, ""}))
	}
	if opts.SendInitialEvents != nil {
		errs = append(errs, field.Forbidden(field.NewPath("sendInitialEvents"), "sendInitialEvents is forbidden for list"))
	}
	return errs
}

func checkWatch(opts *metav1.ListOptions) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("resourceVersionMatch")
	match := opts.ResourceVersionMatch
	if opts.SendInitialEvents != nil && match != metav1.ResourceVersionMatchNotOlderThan {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("sendInitialEvents requires setting resourceVersionMatch to %s", metav1.ResourceVersionMatchNotOlderThan)))
	}
	if opts.SendInitialEvents == nil && match != "" {
		errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
	}
	return errs
}

// revision reads a resourceVersion of the query.
func revision(text string) (change.Rev, error) {
	rev, err := change.ParseRev(text)
	if err != nil {
		return 0, invalidOptions("ListOptions", field.ErrorList{
			field.Invalid(field.NewPath("resourceVersion"), text, "must be a number")})
	}
	return rev, nil
}

// tooNew is the answer to a client that has seen a revision this master has not. It may come: the client
// tries again.
func tooNew(asked, current change.Rev) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %s, current: %s", asked, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version",
	}}
	err.ErrStatus.Code = http.StatusGatewayTimeout
	return err
}
