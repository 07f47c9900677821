package message

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func TestDigestIsHalfASHA256(t *testing.T) {
	if got := DigestOf([]byte("abc")).String(); got != "ba7816bf8f01cfea414140de5dae2223" {
		t.Errorf("got %s", got)
	}
	if !(Digest{}).IsZero() || DigestOf(nil).IsZero() {
		t.Error("no digest and the digest of nothing are not the same")
	}
}

// Both sides compute this digest; it may not change.
func TestStatusDigestIsFixed(t *testing.T) {
	pods := []PodStatus{{UID: "b", Namespace: "n", Name: "x", Status: []byte("s")}, {UID: "a", Gone: true}}
	if got := StatusDigest([]byte("node"), pods).String(); got != "1be0f89f76dea826ea54791055fb38d8" {
		t.Errorf("got %s", got)
	}
	if pods[0].UID != "b" {
		t.Error("it has sorted its argument")
	}
}

// The digest depends on every reported byte and not on the order of the pods.
func TestStatusDigestTellsStatusesApart(t *testing.T) {
	base := []PodStatus{{UID: "a", Status: []byte("1")}, {UID: "b", Status: []byte("2")}, {UID: "c", Gone: true}}
	want := StatusDigest([]byte("node"), base)
	random := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		random.Shuffle(len(base), func(i, j int) { base[i], base[j] = base[j], base[i] })
		if got := StatusDigest([]byte("node"), base); got != want {
			t.Fatalf("the order %v matters", base)
		}
	}
	seen := map[Digest]string{want: "the same"}
	for name, d := range map[string]Digest{
		"another node":                  StatusDigest([]byte("node2"), base),
		"no node":                       StatusDigest(nil, base),
		"no pods":                       StatusDigest([]byte("node"), nil),
		"a pod less":                    StatusDigest([]byte("node"), base[:2]),
		"another status":                StatusDigest([]byte("node"), append([]PodStatus{{UID: "a", Status: []byte("9")}}, base[1:]...)),
		"bytes moved to another field":  StatusDigest([]byte("nodea"), []PodStatus{{UID: "", Status: []byte("1")}}),
		"bytes moved to another field2": StatusDigest([]byte("node"), []PodStatus{{UID: "a", Status: []byte("1")}}),
		"gone":                          StatusDigest([]byte("node"), []PodStatus{{UID: "a", Status: []byte("1"), Gone: true}}),
	} {
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d] = name
	}
}

func TestPositionsAreOrderedByEpochThenSerial(t *testing.T) {
	ordered := []Position{
		{},
		{Serial: 1},
		{Serial: 9},
		{Epoch: Epoch{Start: 1}},
		{Epoch: Epoch{Start: 1}, Serial: 1},
		{Epoch: Epoch{Start: 4095}, Serial: 9},
		{Epoch: Epoch{Term: 1}},
		{Epoch: Epoch{Term: 1, Start: 1}, Serial: 5},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Less(b); got != (i < j) {
				t.Errorf("%s is older than %s: %v", a, b, got)
			}
			if got := a.Epoch.Less(b.Epoch); got && i > j || !got && i < j && a.Epoch != b.Epoch {
				t.Errorf("epoch %s is older than %s: %v", a.Epoch, b.Epoch, got)
			}
		}
	}
	if got := ordered[7].String(); got != "1.1/5" {
		t.Errorf("for people it is %s", got)
	}
}

// What is signed holds every field, the sender and the topic, each in its place.
func TestSigningInput(t *testing.T) {
	l := Leader{Epoch: Epoch{Term: 1, Start: 2}, Time: 3, Master: "m", Signature: []byte("not this")}
	want := hex.EncodeToString([]byte("skerry leader 1\x00topic\x00")) + "00000004" + "0000000000000005" + "00000001" + "00000002" + "0000000000000003" + "6d"
	if got := hex.EncodeToString(l.SigningInput("topic", 4, 5)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	unsigned := l
	unsigned.Signature = nil
	if !bytes.Equal(l.SigningInput("topic", 4, 5), unsigned.SigningInput("topic", 4, 5)) {
		t.Error("the signature signs itself")
	}
}
