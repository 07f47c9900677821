package resource

import (
	"crypto/sha256"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// OwnerIndex is the index by the uid of an object's controller.
const OwnerIndex = "owner"

// DeriveUID is a uid computed from a seed, so that a planner, which has no random source, can name what it
// creates. Equal seeds have equal uids: a seed therefore holds the owner's uid, the view's revision and an
// ordinal, which together never come twice. The uid has the form of RFC 9562, version 8.
func DeriveUID(seed string) types.UID {
	b := sha256.Sum256([]byte("uid\x00" + seed))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

// safeLetters are those that Kubernetes makes name suffixes of: no vowels and no look-alikes, so that no words
// come out (apimachinery, util/rand).
const safeLetters = "bcdfghjklmnpqrstvwxz2456789"

// NameSuffix is the five letters that follow a generated name's prefix, computed from a seed as DeriveUID does.
func NameSuffix(seed string) string {
	b := sha256.Sum256([]byte("name\x00" + seed))
	suffix := make([]byte, 5)
	for i := range suffix {
		// Two bytes a letter keep the letters almost equally likely.
		suffix[i] = safeLetters[(int(b[2*i])<<8|int(b[2*i+1]))%len(safeLetters)]
	}
	return string(suffix)
}
