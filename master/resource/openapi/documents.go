package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// Documents are the documents of all groups and versions, in the form in which they are sent. It may be used by
// several goroutines: two that ask first at the same time both build a document, and either is the right one.
type Documents struct {
	resources []*resource.Resource
	version   string
	paths     []string // in the order of the resources
	documents map[string]*kept
}

// Encoded is a document ready to be sent.
type Encoded struct {
	Gzip []byte // its JSON, compressed: a tenth of it
	Hash string // of its JSON; fit for an ETag and for the hash parameter of its URL
}

// kept is a group and version with its document, once it has been built.
type kept struct {
	gv  schema.GroupVersion
	doc atomic.Pointer[Encoded]
}

// New prepares the documents of resources; each is built when it is first asked for. version is the server's.
func New(resources []*resource.Resource, version string) *Documents {
	d := &Documents{resources: resources, version: version, documents: map[string]*kept{}}
	for _, r := range resources {
		path := Path(r.GVK.GroupVersion())
		if d.documents[path] == nil {
			d.paths = append(d.paths, path)
			d.documents[path] = &kept{gv: r.GVK.GroupVersion()}
		}
	}
	return d
}

// Get is the document at a path below /openapi/v3/; ok is false when there is none.
func (d *Documents) Get(path string) (doc Encoded, ok bool, err error) {
	at := d.documents[path]
	if at == nil {
		return Encoded{}, false, nil
	}
	if doc := at.doc.Load(); doc != nil {
		return *doc, true, nil
	}
	doc, err = encode(d.resources, at.gv, d.version)
	if err != nil {
		return Encoded{}, true, err
	}
	at.doc.Store(&doc)
	return doc, true, nil
}

// Index is the answer to /openapi/v3: where each document is, by a URL that changes with it.
func (d *Documents) Index() ([]byte, error) {
	type location struct {
		URL string `json:"serverRelativeURL"`
	}
	paths := map[string]location{}
	for _, path := range d.paths {
		doc, _, err := d.Get(path)
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
