package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The list says of each slot when it ends by itself, rather too late than too early.
func TestSlotList(t *testing.T) {
	var out bytes.Buffer
	err := printSlots(&out, []slot{
		{Namespace: "default", Slot: "deployment/web/0", Pod: "web-x", Node: "pi-1", LastsSeconds: 40},
		{Namespace: "default", Slot: "pod/quick/0", Pod: "quick", Node: "pi-2", LastsSeconds: 4},
		{Namespace: "default", Slot: "pod/db/0", Pod: "db", Node: "pi-3", Bound: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `NAMESPACE   SLOT               POD     NODE   ENDS BY ITSELF
default     deployment/web/0   web-x   pi-1   47s after its last permit
default     pod/quick/0        quick   pi-2   7s after its last permit
default     pod/db/0           db      pi-3   never: the pod is bound to the node
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
