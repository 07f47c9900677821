package message

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever comes in is refused or read without a panic, and what was read survives being written and read again.
func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		f.Add(Encode(s.message))
	}
	for _, raw := range []string{"", "\xa0", "\xbf\xff", "\xa1\x06\x9a\x7f\xff\xff\xff", "\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00", "\xa1\x01\xf6"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		survives[Leader](t, raw)
		survives[Hello](t, raw)
		survives[Heartbeat](t, raw)
		survives[Presence](t, raw)
		survives[Status](t, raw)
		survives[Desired](t, raw)
		survives[Content](t, raw)
		survives[Request](t, raw)
		survives[Response](t, raw)
	})
}

func survives[T any](t *testing.T, raw []byte) {
	t.Helper()
	m, err := Decode[T](raw)
	if err != nil {
		return
	}
	encoded := Encode(m)
	again, err := Decode[T](encoded)
	if err != nil {
		t.Fatalf("%T from %x is written as %x: %v", m, raw, encoded, err)
	}
	if twice := Encode(again); !cmp.Equal(encoded, twice) {
		t.Fatalf("%T is written as %x, then as %x", m, encoded, twice)
	}
}
