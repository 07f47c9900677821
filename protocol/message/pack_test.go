package message

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPackAndUnpack(t *testing.T) {
	content := Content{Pods: [][]byte{[]byte("pod"), bytes.Repeat([]byte("x"), 100_000)}, Settings: Settings{HeartbeatMillis: 5}}
	position := Position{Epoch: Epoch{Term: 1, Start: 2}, Serial: 3}
	encoded := Encode(content)
	doc, err := NewPacker().Pack(position, encoded)
	if err != nil {
		t.Fatal(err)
	}
	raw, got, err := doc.Unpack()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, got); diff != "" || !bytes.Equal(raw, encoded) || doc.Position != position {
		t.Errorf("unpacked %s differs (-want +got):\n%s", doc.Position, diff)
	}
	if len(doc.Content) > 1000 {
		t.Errorf("%d bytes are left of %d", len(doc.Content), len(encoded))
	}
}

// A content is refused before it is sent when no agent would take it.
func TestPackRefusesWhatIsTooBig(t *testing.T) {
	noise := make([]byte, MaxPacked+1)
	rand.New(rand.NewSource(1)).Read(noise)
	for name, content := range map[string][]byte{"packed": noise, "unpacked": make([]byte, MaxContent+1)} {
		if _, err := NewPacker().Pack(Position{}, content); !errors.Is(err, ErrTooBig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A few bytes that claim to be gigabytes cost nothing, and content that is not what its digest says is refused.
func TestUnpackRefuses(t *testing.T) {
	p := NewPacker()
	bomb := p.encoder.EncodeAll(make([]byte, 16<<20), nil)
	good, err := p.Pack(Position{}, Encode(Content{}))
	if err != nil {
		t.Fatal(err)
	}
	forged := good
	forged.Digest[0]++
	for name, doc := range map[string]Desired{
		"a bomb":           {Content: bomb, Digest: DigestOf(make([]byte, 16<<20))},
		"a forged digest":  forged,
		"no zstd":          {Content: []byte("text")},
		"no content":       {},
		"content not CBOR": mustPack(t, p, []byte("text")),
	} {
		if _, _, err := doc.Unpack(); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func mustPack(t *testing.T, p *Packer, content []byte) Desired {
	doc, err := p.Pack(Position{}, content)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// FuzzUnpack gives it bytes as a compressed content, and as the content itself: it never panics.
func FuzzUnpack(f *testing.F) {
	p := NewPacker()
	doc, err := p.Pack(Position{}, Encode(Content{Pods: [][]byte{[]byte("pod")}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc.Content)
	f.Add(Encode(Content{Pods: [][]byte{[]byte("pod")}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := (Desired{Content: data}).Unpack(); err == nil {
			t.Fatal("a content without a digest was unpacked")
		}
		packed, err := p.Pack(Position{}, data)
		if err != nil {
			return
		}
		if encoded, _, err := packed.Unpack(); err == nil && !bytes.Equal(encoded, data) {
			t.Fatal("what was unpacked is not what was packed")
		}
	})
}
