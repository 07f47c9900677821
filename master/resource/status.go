package resource

import "reflect"

// CopyStatus puts the status of one object into another of the same type; an object without a status is left
// alone. The two share what the status points to.
func CopyStatus(to, from Object) {
	status := reflect.ValueOf(from).Elem().FieldByName("Status")
	if status.IsValid() {
		reflect.ValueOf(to).Elem().FieldByName("Status").Set(status)
	}
}
