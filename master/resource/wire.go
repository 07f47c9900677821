package resource

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/encoding/protowire"
)

// The store computes indexes of every object that it loads or writes, so they are read from the encoding itself:
// decoding ten thousand pods at the start takes longer than the start may.

// wirePath is the way through the encoding of a type to a field, named as in JSON ("spec.nodeName"): the field
// numbers, from the struct tags. It panics when there is no such field: the name is a constant of this package.
func wirePath(t reflect.Type, name string) []protowire.Number {
	var path []protowire.Number
	for part := range strings.SplitSeq(name, ".") {
		var number protowire.Number
		number, t = wireField(t, part)
		path = append(path, number)
	}
	return path
}

func wireField(t reflect.Type, name string) (protowire.Number, reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if json, _ := jsonName(f); json != name {
			continue
		}
		if tag := strings.Split(f.Tag.Get("protobuf"), ","); len(tag) > 1 {
			if number, err := strconv.Atoi(tag[1]); err == nil {
				return protowire.Number(number), f.Type
			}
		}
	}
	panic(fmt.Sprintf("resource: %s has no encoded field %q", t, name))
}

// wireText is the text at the end of a path, or empty when it isn't there or the encoding is broken.
func wireText(encoded []byte, path []protowire.Number) string {
	for _, number := range path {
		var found []byte
		ok := wireEach(encoded, func(n protowire.Number, field []byte) {
			if n == number {
				found = field
			}
		})
		if !ok {
			return ""
		}
		encoded = found
	}
	return string(encoded)
}

// wireController makes a function that finds the uid of an object's controller.
func wireController(t reflect.Type) func([]byte) string {
	references := wirePath(t, "metadata.ownerReferences")
	metadata, list := references[:1], references[1]
	reference := reflect.TypeFor[metav1.OwnerReference]()
	controller, uid := wirePath(reference, "controller")[0], wirePath(reference, "uid")
	return func(encoded []byte) string {
		var found string
		wireEach([]byte(wireText(encoded, metadata)), func(n protowire.Number, field []byte) {
			if n == list && found == "" && wireTrue(field, controller) {
				found = wireText(field, uid)
			}
		})
		return found
	}
}

// wireTrue reports whether a bool is set and true.
func wireTrue(encoded []byte, number protowire.Number) bool {
	set := false
	for len(encoded) > 0 {
		n, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return false
		}
		encoded = encoded[size:]
		if n == number && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(encoded)
			set = v == 1
		}
		if size = protowire.ConsumeFieldValue(n, kind, encoded); size < 0 {
			return false
		}
		encoded = encoded[size:]
	}
	return set
}

// wireEach calls f with each field that has bytes, in order; false when the encoding is broken.
func wireEach(encoded []byte, f func(protowire.Number, []byte)) bool {
	for len(encoded) > 0 {
		n, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return false
		}
		encoded = encoded[size:]
		if size = protowire.ConsumeFieldValue(n, kind, encoded); size < 0 {
			return false
		}
		if kind == protowire.BytesType {
			field, _ := protowire.ConsumeBytes(encoded)
			f(n, field)
		}
		encoded = encoded[size:]
	}
	return true
}
