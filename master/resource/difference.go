package resource

import (
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// differences names the fields of two structs of one type, given by pointer, that differ: the innermost struct's
// field, or the whole list or map where lengths or keys differ.
func differences(a, b any, path *field.Path) []*field.Path {
	var paths []*field.Path
	differ(reflect.ValueOf(a), reflect.ValueOf(b), path, &paths)
	return paths
}

func differ(a, b reflect.Value, path *field.Path, paths *[]*field.Path) {
	if same(a.Interface(), b.Interface()) {
		return
	}
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		differ(a.Elem(), b.Elem(), path, paths)
	case a.Kind() == reflect.Slice && a.Len() == b.Len():
		for i := range a.Len() {
			differ(a.Index(i), b.Index(i), path.Index(i), paths)
		}
	case a.Kind() == reflect.Struct && hasFields(a.Type()):
		for i := range a.NumField() {
			switch name, inlined := jsonName(a.Type().Field(i)); {
			case inlined:
				differ(a.Field(i), b.Field(i), path, paths)
			case name != "":
				differ(a.Field(i), b.Field(i), path.Child(name), paths)
			}
		}
	default:
		*paths = append(*paths, path)
	}
}

// hasFields reports whether a struct shows as an object; Quantity, Time and IntOrString show as a value.
func hasFields(t reflect.Type) bool {
	_, custom := reflect.PointerTo(t).MethodByName("MarshalJSON")
	return !custom
}
