package apiserver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// readJSON reads the body of a request that is no object of the API: what names it in errors, as "request for a join
// token". A field that is not known is refused.
func readJSON[T any](w http.ResponseWriter, r *http.Request, limit int64, what string) (T, error) {
	var ask T
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return ask, apierrors.NewRequestEntityTooLargeError("a " + what + " is small")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ask); err != nil {
		return ask, apierrors.NewBadRequest("this is no " + what + ": " + err.Error())
	}
	return ask, nil
}
