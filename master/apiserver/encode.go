package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// protobufPrefix starts every Kubernetes protobuf document; a runtime.Unknown follows it.
const protobufPrefix = "k8s\x00"

// protobuf is an object with a protobuf form.
type protobuf interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// encode writes one object in a media type. Objects without a protobuf form are an error there.
func encode(media string, o runtime.Object) ([]byte, error) {
	switch media {
	case mediaProtobuf:
		p, ok := o.(protobuf)
		if !ok {
			return nil, notAcceptable()
		}
		raw, err := p.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", o, err)
		}
		return envelop(o.GetObjectKind(), raw)
	case mediaYAML:
		out, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", o, err)
		}
		return out, nil
	}
	out, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", o, err)
	}
	return append(out, '\n'), nil
}

// kinded is what an envelope needs to know of its content.
type kinded interface {
	GroupVersionKind() schema.GroupVersionKind
}

// envelop puts encoded protobuf into a Kubernetes protobuf document.
func envelop(kind kinded, raw []byte) ([]byte, error) {
	k := kind.GroupVersionKind()
	u := runtime.Unknown{Raw: raw}
	u.APIVersion, u.Kind = k.ToAPIVersionAndKind()
	out := make([]byte, len(protobufPrefix)+u.Size())
	copy(out, protobufPrefix)
	if _, err := u.MarshalTo(out[len(protobufPrefix):]); err != nil {
		return nil, fmt.Errorf("encode %s: %w", u.Kind, err)
	}
	return out, nil
}

// write answers with an object. An error of encoding becomes 500.
func (s *Server) write(w http.ResponseWriter, r *http.Request, code int, f format, o runtime.Object) {
	data, err := encode(f.media, o)
	if err != nil {
		s.log.Error().Err(err).Str("path", r.URL.Path).Msg("answer does not encode")
		f.media = mediaJSON
		code = http.StatusInternalServerError
		data = []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"reason":"InternalError","message":"the answer does not encode"}` + "\n")
	}
	s.writeBytes(w, r, code, f.media, data)
}

// writeBytes answers with a document, compressed when it is large and the client can read that.
func (s *Server) writeBytes(w http.ResponseWriter, r *http.Request, code int, contentType string, data []byte) {
	out := newAnswer(w, r, code, contentType)
	defer out.close()
	_, _ = out.Write(data) // a client that has gone needs no answer
}
