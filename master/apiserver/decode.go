package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// body reads the request's body, which is bounded in size and time.
func (c *call) body() ([]byte, error) {
	if c.r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	control := http.NewResponseController(c.w)
	// Connections that have no deadlines, as in a test, go without; see newAnswer.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the request's body can't be read: %v", err))
	}
	return data, nil
}

// decode reads the request's body into an object of the given kind. What it doesn't know is an error or a
// warning, as fieldValidation says.
func (c *call) decode(kind schema.GroupVersionKind, into runtime.Object, fieldValidation string) error {
	data, err := c.body()
	if err != nil {
		return err
	}
	return c.decodeBytes(data, c.r.Header.Get("Content-Type"), kind, into, fieldValidation)
}

func (c *call) decodeBytes(data []byte, contentType string, kind schema.GroupVersionKind, into runtime.Object, fieldValidation string) error {
	media, err := mediaOf(contentType)
	if err != nil {
		return err
	}
	var unknown []error
	switch media {
	case mediaProtobuf:
		err = decodeProtobuf(data, kind, into)
	case mediaYAML:
		unknown, err = decodeYAML(data, kind, into)
	default:
		unknown, err = decodeJSON(data, kind, into)
	}
	if err != nil {
		return err
	}
	into.GetObjectKind().SetGroupVersionKind(kind)
	return c.unknownFields(unknown, kind, fieldValidation)
}

// unknownFields treats fields that a body holds and the kind does not, or holds twice, as the client wants it.
func (c *call) unknownFields(unknown []error, kind schema.GroupVersionKind, fieldValidation string) error {
	if len(unknown) == 0 || fieldValidation == metav1.FieldValidationIgnore {
		return nil
	}
	if fieldValidation == metav1.FieldValidationStrict {
		return cannotHandle(kind, kind, runtime.NewStrictDecodingError(unknown))
	}
	texts := make([]string, len(unknown))
	for i, err := range unknown {
		texts[i] = err.Error()
	}
	c.warn(texts)
	return nil
}

// mediaOf is the media type of a body; a body without one is JSON.
func mediaOf(contentType string) (string, error) {
	if contentType == "" {
		return mediaJSON, nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil {
		switch media {
		case mediaJSON, mediaProtobuf, mediaYAML:
			return media, nil
		case "application/x-yaml", "text/yaml":
			return mediaYAML, nil
		}
	}
	return "", unsupportedMedia(fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s, %s, %s",
		mediaJSON, mediaYAML, mediaProtobuf))
}

// cannotHandle is how Kubernetes refuses a body that does not decode.
func cannotHandle(found, wanted schema.GroupVersionKind, err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v",
		found.Kind, found.Version, wanted.Kind, err))
}

// checkKind refuses a body that says it is something else than the path is for. DeleteOptions belong to every
// version.
func checkKind(said metav1.TypeMeta, wanted schema.GroupVersionKind) error {
	found := schema.FromAPIVersionAndKind(said.APIVersion, said.Kind)
	if said.APIVersion != "" && found.GroupVersion() != wanted.GroupVersion() && wanted != deleteOptionsKind {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			said.APIVersion, wanted.GroupVersion()))
	}
	if said.Kind != "" && said.Kind != wanted.Kind {
		return cannotHandle(found, wanted, fmt.Errorf("the path is for objects of kind %s", wanted.Kind))
	}
	return nil
}

func decodeJSON(data []byte, kind schema.GroupVersionKind, into runtime.Object) (unknown []error, err error) {
	var said metav1.TypeMeta
	if err := json.Unmarshal(data, &said); err != nil {
		return nil, cannotHandle(kind, kind, err)
	}
	if err := checkKind(said, kind); err != nil {
		return nil, err
	}
	unknown, err = kjson.UnmarshalStrict(data, into)
	if err != nil {
		return nil, cannotHandle(kind, kind, err)
	}
	return unknown, nil
}

func decodeYAML(data []byte, kind schema.GroupVersionKind, into runtime.Object) (unknown []error, err error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, cannotHandle(kind, kind, err)
	}
	if len(asJSON) > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	unknown, err = decodeJSON(asJSON, kind, into)
	if err != nil {
		return nil, err
	}
	// A field that is there twice is lost on the way to JSON.
	if _, duplicates := yaml.YAMLToJSONStrict(data); duplicates != nil {
		unknown = append(unknown, duplicates)
	}
	return unknown, nil
}

func decodeProtobuf(data []byte, kind schema.GroupVersionKind, into runtime.Object) error {
	raw, ok := bytes.CutPrefix(data, []byte(protobufPrefix))
	if !ok {
		return cannotHandle(kind, kind, fmt.Errorf("the body does not start with %q", protobufPrefix))
	}
	var u runtime.Unknown
	if err := u.Unmarshal(raw); err != nil {
		return cannotHandle(kind, kind, err)
	}
	said := metav1.TypeMeta{APIVersion: u.APIVersion, Kind: u.Kind}
	if err := checkKind(said, kind); err != nil {
		return err
	}
	p, ok := into.(protobuf)
	if !ok {
		return unsupportedMedia(kind.Kind + " has no protobuf form; send JSON")
	}
	if err := p.Unmarshal(u.Raw); err != nil {
		return cannotHandle(kind, kind, err)
	}
	return nil
}
