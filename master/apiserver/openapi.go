package apiserver

import (
	"net/http"

	"github.com/skerry-edge/skerry/master/resource"
)

type openapi struct{}

func newOpenAPI(resources []*resource.Resource) (*openapi, error) { return &openapi{}, nil }

func (o *openapi) serve(w http.ResponseWriter, r *http.Request) bool { return false }
