package resource

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// allowed is a set of fields of a type, as a tree of JSON names. A leaf stands for the field with all that is
// in it, or, with values, for the field while it has one of them.
type allowed struct {
	below  map[string]*allowed // by JSON name; for a map, by key
	values []string            // of a leaf; none means any
}

// allow makes the tree of a list of fields. An entry is a path of JSON names with dots, without the indexes of
// lists ("containers.env.value"), optionally with the values that are accepted ("dnsPolicy=ClusterFirst|Default").
// The value {} stands for a pointer to a struct in which nothing is set. What is not listed is refused.
func allow(entries ...string) *allowed {
	root := &allowed{}
	for _, entry := range entries {
		path, values, _ := strings.Cut(entry, "=")
		node := root
		for name := range strings.SplitSeq(path, ".") {
			node = node.child(name)
		}
		if values != "" {
			node.values = strings.Split(values, "|")
		}
	}
	return root
}

// with hangs another tree below a path.
func (a *allowed) with(path string, tree *allowed) *allowed {
	node := a
	for name := range strings.SplitSeq(path, ".") {
		node = node.child(name)
	}
	node.below = tree.below
	return a
}

func (a *allowed) child(name string) *allowed {
	if a.below == nil {
		a.below = map[string]*allowed{}
	}
	if a.below[name] == nil {
		a.below[name] = &allowed{}
	}
	return a.below[name]
}

// refuse names every field that is set and not allowed. o is a pointer to a struct.
func (a *allowed) refuse(o any) field.ErrorList {
	var errs field.ErrorList
	a.walk(reflect.ValueOf(o).Elem(), nil, &errs)
	return errs
}

// walk looks into a value whose field is listed.
func (a *allowed) walk(v reflect.Value, path *field.Path, errs *field.ErrorList) {
	if len(a.values) > 0 {
		if !a.hasValue(v) {
			*errs = append(*errs, field.Forbidden(path, NotSupported))
		}
		return
	}
	if a.below == nil {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			a.walk(v.Elem(), path, errs)
		}
	case reflect.Slice:
		for i := range v.Len() {
			a.walk(v.Index(i), path.Index(i), errs)
		}
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			a.visit(key, v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key())), path.Key(key), errs)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, inlined := jsonName(v.Type().Field(i))
			switch {
			case v.Field(i).Type() == reflect.TypeFor[metav1.TypeMeta]():
				// apiVersion and kind say what the object is; the decoder has seen to them.
			case inlined:
				a.walk(v.Field(i), path, errs)
			case name != "":
				a.visit(name, v.Field(i), child(path, name), errs)
			}
		}
	}
}

// visit decides about one field or one entry of a map.
func (a *allowed) visit(name string, v reflect.Value, path *field.Path, errs *field.ErrorList) {
	if isUnset(v) {
		return
	}
	if below := a.below[name]; below != nil {
		below.walk(v, path, errs)
		return
	}
	*errs = append(*errs, field.Forbidden(path, NotSupported))
}

// hasValue reports whether a set value is one of those that are accepted; every element of a list must be.
func (a *allowed) hasValue(v reflect.Value) bool {
	switch {
	case v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct:
		return v.Elem().IsZero() && a.accepts("{}")
	case v.Kind() == reflect.Pointer:
		return a.hasValue(v.Elem())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			if !a.hasValue(v.Index(i)) {
				return false
			}
		}
		return true
	default:
		return a.accepts(fmt.Sprint(v.Interface()))
	}
}

func (a *allowed) accepts(value string) bool {
	for _, v := range a.values {
		if v == value {
			return true
		}
	}
	return false
}

// isUnset reports whether a client has said nothing: the zero value, or an empty list or map. A pointer to a
// zero value says something (hostUsers: false).
func isUnset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// jsonName is the name of a struct's field in JSON; inlined when its own fields appear in its place.
func jsonName(f reflect.StructField) (name string, inlined bool) {
	name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() {
		return "", false
	}
	return name, name == "" && f.Anonymous
}

func sortedKeys(m reflect.Value) []string {
	keys := make([]string, 0, m.Len())
	for _, key := range m.MapKeys() {
		keys = append(keys, key.String())
	}
	sort.Strings(keys)
	return keys
}

// child is path.Child, also from the root.
func child(path *field.Path, name string) *field.Path {
	if path == nil {
		return field.NewPath(name)
	}
	return path.Child(name)
}
