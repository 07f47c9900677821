package apiserver

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource/openapi"
)

const (
	openAPIPath   = "/openapi/v3"
	openAPIv2Path = "/openapi/v2"
)

// The protobuf form of OpenAPI v2: what clients ask for, and what the answer says, where an @ has no place.
const (
	askedOpenAPIv2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
	mediaOpenAPIv2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
)

// describeAPI serves the OpenAPI documents; false when the path has none.
func (s *Server) describeAPI(w http.ResponseWriter, r *http.Request) bool {
	trimmed := strings.TrimSuffix(r.URL.Path, "/")
	if trimmed == openAPIv2Path {
		s.describeOld(w, r)
		return true
	}
	path, ok := strings.CutPrefix(trimmed, openAPIPath)
	if !ok {
		return false
	}
	if path == "" {
		index, err := s.openapi.Index()
		if err != nil {
			s.fail(w, r, err, schema.GroupResource{}, "")
			return true
		}
		s.writeBytes(w, r, http.StatusOK, mediaJSON, index)
		return true
	}
	doc, ok, err := s.openapi.Get(strings.TrimPrefix(path, "/"))
	if err != nil {
		s.fail(w, r, err, schema.GroupResource{}, "")
		return true
	}
	if !ok {
		return false
	}
	switch asked := r.URL.Query().Get("hash"); asked {
	case "":
		w.Header().Set("Cache-Control", "no-cache, private")
	case doc.Hash: // as the URL names the content, it never changes
		w.Header().Set("Cache-Control", "public, immutable, max-age=31536000")
	default:
		http.Redirect(w, r, openAPIPath+path+"?hash="+doc.Hash, http.StatusMovedPermanently)
		return true
	}
	s.writeDocument(w, r, mediaJSON, doc)
	return true
}

// describeOld serves OpenAPI v2, in the first of its forms that the client accepts.
func (s *Server) describeOld(w http.ResponseWriter, r *http.Request) {
	media, form := "", openapi.FormJSON
	for clause := range strings.SplitSeq(cmp.Or(r.Header.Get("Accept"), mediaJSON), ",") {
		asked, _, _ := strings.Cut(strings.TrimSpace(clause), ";")
		switch asked {
		case askedOpenAPIv2, mediaOpenAPIv2:
			media, form = mediaOpenAPIv2, openapi.FormProtobuf
		case mediaJSON, "application/*", "*/*":
			media = mediaJSON
		default:
			continue
		}
		break
	}
	if media == "" {
		s.fail(w, r, notAcceptable(), schema.GroupResource{}, "")
		return
	}
	doc, err := s.openapi.Swagger(form)
	if err != nil {
		s.fail(w, r, err, schema.GroupResource{}, "")
		return
	}
	w.Header().Add("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-cache, private")
	s.writeDocument(w, r, media, doc)
}

// writeDocument answers with a document, as it is kept where the client can read that.
func (s *Server) writeDocument(w http.ResponseWriter, r *http.Request, media string, doc openapi.Encoded) {
	header := w.Header()
	header.Set("Etag", strconv.Quote(doc.Hash))
	header.Add("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), strconv.Quote(doc.Hash)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := doc.Gzip, error(nil)
	if acceptsGzip(r) {
		header.Set("Content-Encoding", "gzip")
	} else if body, err = expand(doc.Gzip); err != nil {
		s.fail(w, r, err, schema.GroupResource{}, "")
		return
	}
	defer hurry(w)()
	header.Set("Content-Type", media)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// expand undoes the compression, for clients that can't.
func expand(zipped []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("expand an OpenAPI document: %w", err)
	}
	return io.ReadAll(z)
}
