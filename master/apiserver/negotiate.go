package apiserver

import (
	"slices"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Media types of bodies.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// Forms of an answer that a client may ask for instead of the object itself.
const (
	asTable       = "Table"
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
)

// format is how an answer is written.
type format struct {
	media string
	as    string // empty: the object itself
}

// negotiate picks the first format of an Accept header that can be served, by the client's order of
// preference; forms are the values of "as" that are possible.
func negotiate(accept string, forms ...string) (format, bool) {
	if accept == "" {
		return format{media: mediaJSON}, true
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		f := format{as: clause.Params["as"]}
		switch clause.Type + "/" + clause.SubType {
		case "*/*", "application/*", mediaJSON:
			f.media = mediaJSON
		case mediaYAML, "application/x-yaml", "text/yaml":
			f.media = mediaYAML
		case mediaProtobuf:
			f.media = mediaProtobuf
		default:
			continue
		}
		if f.as == "" {
			return f, true
		}
		ofMeta := clause.Params["g"] == metav1.GroupName && clause.Params["v"] == "v1"
		if !ofMeta || !slices.Contains(forms, f.as) {
			continue
		}
		if f.as == asTable && f.media == mediaProtobuf {
			continue // a Table has no protobuf form
		}
		return f, true
	}
	return format{}, false
}
