package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/change"
)

// call is one request on its way through the server. It belongs to one goroutine.
type call struct {
	*Server
	target
	ctx   context.Context
	w     http.ResponseWriter
	r     *http.Request
	user  user
	trail *trail
	verb  string
	query url.Values
	now   time.Time // what people call the time, when the request came
}

// groupResource is what errors call the resource.
func (c *call) groupResource() schema.GroupResource { return c.res.GVR().GroupResource() }

// groupKind is what validation errors call the kind.
func (c *call) groupKind() schema.GroupKind { return c.res.GVK.GroupKind() }

// key is the key of the object that the path names.
func (c *call) key() change.Key { return c.res.Key(c.namespace, c.name) }

// notFound is the answer when the object isn't there: `pods "x" not found`.
func (c *call) notFound() error { return apierrors.NewNotFound(c.groupResource(), c.name) }

// invalid is the answer to an object that breaks rules; nil when there are none.
func (c *call) invalid(name string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(c.groupKind(), name, errs)
}

// invalidOptions is the answer to query parameters that break rules; nil when there are none.
func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// warn adds warnings, which kubectl prints; one that is there already, from an attempt at the same write, is not
// said again.
func (c *call) warn(texts []string) {
	for _, text := range texts {
		warning := "299 - " + strconv.QuoteToASCII(text)
		if !slices.Contains(c.w.Header().Values("Warning"), warning) {
			c.w.Header().Add("Warning", warning)
		}
	}
}

// format negotiates the answer's format; forms are the values of "as" that are possible.
func (c *call) format(forms ...string) (format, error) {
	f, ok := negotiate(c.r.Header.Get("Accept"), forms...)
	if !ok {
		return format{}, notAcceptable()
	}
	return f, nil
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error, gr schema.GroupResource, name string) {
	status := statusOf(err, gr, name)
	if status.ErrStatus.Code == http.StatusInternalServerError && !errors.Is(r.Context().Err(), context.Canceled) {
		s.log.Error().Err(err).Str("method", r.Method).Str("path", r.URL.Path).Msg("request failed")
	}
	answer := status.ErrStatus
	answer.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if d := answer.Details; d != nil && d.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(d.RetryAfterSeconds))
	}
	f, ok := negotiate(r.Header.Get("Accept"))
	if !ok {
		f = format{media: mediaJSON}
	}
	s.write(w, r, int(answer.Code), f, &answer)
}
