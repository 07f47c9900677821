package bolt

import (
	"bytes"
	"testing"
)

// Whatever a database file holds, as after a card has gone bad, a record that is taken for sound is read as it was
// written; anything else is known to be damaged.
func FuzzRecord(f *testing.F) {
	key := []byte("default\x00web")
	f.Add(key, seal(key, make([]byte, revSize), []byte("value")))
	f.Add(key, seal(key, []byte("short")))
	f.Add([]byte("no-separator"), seal([]byte("no-separator"), make([]byte, revSize)))
	f.Add(key, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, key, stored []byte) {
		if recordSound(key, stored) {
			rec := decodeRecord("pods", key, stored)
			if !bytes.Equal(objectKey(rec.Key), key) || !bytes.HasSuffix(stored, rec.Value) {
				t.Errorf("%q under %q was read as %+v", stored, key, rec)
			}
		}
		// Random bytes rarely have a right checksum: content that somebody wrote with one is read without a panic, too.
		if made := seal(key, stored); recordSound(key, made) {
			decodeRecord("pods", key, made)
		}
	})
}
