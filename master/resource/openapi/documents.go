package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/skerry-edge/skerry/master/resource"
)

// Documents are the documents of all groups and versions, in the form in which they are sent. It may be used by
// several goroutines: two that ask first at the same time both build a document, and either is the right one.
type Documents struct {
	paths     []string // in the order of the resources
	documents map[string]*kept
	swagger   map[Form]*kept
}

// Form is an encoding of the OpenAPI v2 document.
type Form string

// The forms of the OpenAPI v2 document.
const (
	FormJSON     Form = "json"
	FormProtobuf Form = "protobuf"
)

// Encoded is a document ready to be sent.
type Encoded struct {
	Gzip []byte // compressed: a tenth of it
	Hash string // of what is compressed; fit for an ETag and for the hash parameter of its URL
}

// kept is a document with how to build it, once it has been built.
type kept struct {
	build func() (Encoded, error)
	doc   atomic.Pointer[Encoded]
}

func (k *kept) get() (Encoded, error) {
	if doc := k.doc.Load(); doc != nil {
		return *doc, nil
	}
	doc, err := k.build()
	if err == nil {
		k.doc.Store(&doc)
	}
	return doc, err
}

// New prepares the documents of resources; each is built when it is first asked for. version is the server's.
func New(resources []*resource.Resource, version string) *Documents {
	d := &Documents{documents: map[string]*kept{}}
	for _, r := range resources {
		gv := r.GVK.GroupVersion()
		path := Path(gv)
		if d.documents[path] == nil {
			d.paths = append(d.paths, path)
			d.documents[path] = &kept{build: func() (Encoded, error) { return encodeJSON(Document(resources, gv, version)) }}
		}
	}
	d.swagger = map[Form]*kept{
		FormJSON: {build: func() (Encoded, error) { return encodeJSON(Swagger(resources, version)) }},
		FormProtobuf: {build: func() (Encoded, error) {
			data, err := Protobuf(Swagger(resources, version))
			if err != nil {
				return Encoded{}, err
			}
			return compress(data)
		}},
	}
	return d
}

// Get is the document at a path below /openapi/v3/; ok is false when there is none.
func (d *Documents) Get(path string) (doc Encoded, ok bool, err error) {
	at := d.documents[path]
	if at == nil {
		return Encoded{}, false, nil
	}
	doc, err = at.get()
	return doc, true, err
}

// Swagger is the OpenAPI v2 document in one of its forms.
func (d *Documents) Swagger(form Form) (Encoded, error) { return d.swagger[form].get() }

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

func encodeJSON(document any) (Encoded, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return Encoded{}, fmt.Errorf("encode an OpenAPI document: %w", err)
	}
	return compress(text)
}

func compress(document []byte) (Encoded, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := zip.Write(document); err != nil {
		return Encoded{}, fmt.Errorf("compress an OpenAPI document: %w", err)
	}
	if err := zip.Close(); err != nil {
		return Encoded{}, fmt.Errorf("compress an OpenAPI document: %w", err)
	}
	return Encoded{Gzip: bytes.Clone(out.Bytes()), Hash: fmt.Sprintf("%X", sha256.Sum256(document))}, nil
}
