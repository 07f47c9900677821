package apiserver

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const openAPIPath = "/openapi/v3"

// describeAPI serves the OpenAPI documents; false when the path has none.
func (s *Server) describeAPI(w http.ResponseWriter, r *http.Request) bool {
	path, ok := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), openAPIPath)
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
	header := w.Header()
	header.Set("Etag", strconv.Quote(doc.Hash))
	header.Add("Vary", "Accept-Encoding")
	switch asked := r.URL.Query().Get("hash"); asked {
	case "":
		header.Set("Cache-Control", "no-cache, private")
	case doc.Hash: // as the URL names the content, it never changes
		header.Set("Cache-Control", "public, immutable, max-age=31536000")
	default:
		http.Redirect(w, r, openAPIPath+path+"?hash="+doc.Hash, http.StatusMovedPermanently)
		return true
	}
	if strings.Contains(r.Header.Get("If-None-Match"), strconv.Quote(doc.Hash)) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	body := doc.Gzip
	if acceptsGzip(r) {
		header.Set("Content-Encoding", "gzip")
	} else if body, err = expand(doc.Gzip); err != nil {
		s.fail(w, r, err, schema.GroupResource{}, "")
		return true
	}
	defer hurry(w)()
	header.Set("Content-Type", mediaJSON)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that has gone needs no answer
	return true
}

// expand undoes the compression, for clients that can't.
func expand(zipped []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("expand an OpenAPI document: %w", err)
	}
	return io.ReadAll(z)
}
