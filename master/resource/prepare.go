package resource

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
)

// creating makes a PrepareCreate: it drops what no client may say of a new object, then lets f do the kind's own.
func creating[T Object](f func(T)) func(Object) {
	return func(o Object) {
		o.SetDeletionTimestamp(nil)
		o.SetDeletionGracePeriodSeconds(nil)
		o.SetGeneration(0)
		o.SetSelfLink("")
		f(o.(T))
	}
}

// updating makes a PrepareUpdate: it keeps the metadata that no client may change, as Kubernetes does, then lets
// f do the kind's own. A uid that is given stays, for Validate to compare.
func updating[T Object](f func(updated, old T)) func(_, _ Object) {
	return func(updated, old Object) {
		if updated.GetUID() == "" {
			updated.SetUID(old.GetUID())
		}
		updated.SetCreationTimestamp(old.GetCreationTimestamp())
		updated.SetDeletionTimestamp(old.GetDeletionTimestamp())
		updated.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
		updated.SetGeneration(old.GetGeneration())
		updated.SetSelfLink("")
		f(updated.(T), old.(T))
	}
}

// nothing and nothingToKeep are for kinds without anything of their own to prepare.
func nothing[T Object](T)            {}
func nothingToKeep[T Object](_, _ T) {}

// countSpec counts one more generation: the spec has changed.
func countSpec(updated Object, changed bool) {
	if changed {
		updated.SetGeneration(updated.GetGeneration() + 1)
	}
}

// CopyStatus puts the status of one object into another of the same type; an object without a status is left
// alone. The two share what the status points to.
func CopyStatus(to, from Object) {
	status := reflect.ValueOf(from).Elem().FieldByName("Status")
	if status.IsValid() {
		reflect.ValueOf(to).Elem().FieldByName("Status").Set(status)
	}
}

// same compares as Kubernetes does: quantities by value, nil and empty alike.
func same(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }
