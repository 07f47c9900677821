package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// Documents are the documents of all groups and versions, in the form in which they are sent. It may be used by
// several goroutines.
type Documents struct {
	paths []string // in the order of the resources
	built map[string]func() (Encoded, error)
}

// Encoded is a document ready to be sent.
type Encoded struct {
	Gzip []byte // its JSON, compressed: a tenth of it
	Hash string // of its JSON; fit for an ETag and for the hash parameter of its URL
}

// New prepares the documents of resources; each is built when it is first asked for. version is the server's.
func New(resources []*resource.Resource, version string) *Documents {
	d := &Documents{built: map[string]func() (Encoded, error){}}
	for _, r := range resources {
		gv := r.GVK.GroupVersion()
		if d.built[Path(gv)] == nil {
			d.paths = append(d.paths, Path(gv))
			d.built[Path(gv)] = sync.OnceValues(func() (Encoded, error) { return encode(resources, gv, version) })
		}
	}
	return d
}

// Get is the document at a path below /openapi/v3/; ok is false when there is none.
func (d *Documents) Get(path string) (doc Encoded, ok bool, err error) {
	build := d.built[path]
	if build == nil {
		return Encoded{}, false, nil
	}
	doc, err = build()
	return doc, true, err
}

// Index is the answer to /openapi/v3: where each document is, by a URL that changes with it.
func (d *Documents) Index() ([]byte, error) {
	type location struct {
		URL string `json:"serverRelativeURL"`
	}
	paths := map[string]location{}
	for _, path := range d.paths {
		doc, err := d.built[path]()
		if err != nil {
			return nil, err
		}
		paths[path] = location{"/openapi/v3/" + path + "?hash=" + doc.Hash}
	}
	return json.Marshal(map[string]any{"paths": paths})
}

func encode(resources []*resource.Resource, gv schema.GroupVersion, version string) (Encoded, error) {
	text, err := json.Marshal(Document(resources, gv, version))
	if err != nil {
		return Encoded{}, fmt.Errorf("encode the OpenAPI document of %s: %w", gv, err)
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := zip.Write(text); err != nil {
		return Encoded{}, fmt.Errorf("compress the OpenAPI document of %s: %w", gv, err)
	}
	if err := zip.Close(); err != nil {
		return Encoded{}, fmt.Errorf("compress the OpenAPI document of %s: %w", gv, err)
	}
	return Encoded{Gzip: bytes.Clone(out.Bytes()), Hash: fmt.Sprintf("%X", sha256.Sum256(text))}, nil
}
