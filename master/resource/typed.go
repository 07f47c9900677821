package resource

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The functions of a Resource take Objects; those of a kind are written for its own type. These turn the ones
// into the others.

func one[T Object](f func(T)) func(Object) { return func(o Object) { f(o.(T)) } }

func text[T Object](f func(T) string) func(Object) string {
	return func(o Object) string { return f(o.(T)) }
}

func row[T Object](f func(T, time.Time) []any) func(Object, time.Time) []any {
	return func(o Object, now time.Time) []any { return f(o.(T), now) }
}

// check calls f with a nil old for a create.
func check[T Object](f func(updated, old T) field.ErrorList) func(_, _ Object) field.ErrorList {
	return func(updated, old Object) field.ErrorList {
		var before T
		if old != nil {
			before = old.(T)
		}
		return f(updated.(T), before)
	}
}
