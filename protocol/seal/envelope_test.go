package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The layout is part of the protocol.
func TestEnvelopeOnTheWire(t *testing.T) {
	raw := Write(Run{Number: 0x01020304, Nonce: 0x1112131415161718}, 0x2122232425262728, []byte("body"))
	want := "01" + "01020304" + "1112131415161718" + "2122232425262728" + hex.EncodeToString([]byte("body"))
	if got := hex.EncodeToString(raw); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	empty := Write(Run{Number: 1}, 1, nil)
	if len(empty) != 21 {
		t.Errorf("an envelope costs %d bytes, want 21", len(empty))
	}
}

func TestReadIsTheInverseOfWrite(t *testing.T) {
	for _, e := range []Envelope{
		{Version: Plain, Sender: Run{Number: 1}, Sequence: 0, Body: []byte{}},
		{Version: Plain, Sender: Run{Nonce: 1}, Sequence: 1<<64 - 1, Body: []byte("x")},
		{Version: Plain, Sender: Run{Number: 1<<32 - 1, Nonce: 1<<64 - 1}, Sequence: 7, Body: bytes.Repeat([]byte{0}, 1000)},
	} {
		got, err := Read(Write(e.Sender, e.Sequence, e.Body))
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", e.Sender, err, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := Write(Run{Number: 1, Nonce: 2}, 3, nil)
	changed := func(at int, to byte) []byte {
		raw := bytes.Clone(good)
		raw[at] = to
		return raw
	}
	for name, raw := range map[string][]byte{
		"nothing":          nil,
		"a short header":   good[:20],
		"version 0":        changed(0, 0),
		"a sealed one":     changed(0, Sealed),
		"a joining one":    changed(0, Joining),
		"a version to be":  changed(0, 4),
		"nobody's message": Write(Run{}, 1, []byte("x")),
	} {
		if e, err := Read(raw); !errors.Is(err, ErrMalformed) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(Write(Run{Number: 1, Nonce: 2}, 3, []byte("body")))
	f.Add(Write(Run{}, 3, nil))
	f.Add(bytes.Repeat([]byte{1}, 20))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Read(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%x: %v", raw, err)
			}
			return
		}
		if again := Write(e.Sender, e.Sequence, e.Body); !bytes.Equal(raw, again) {
			t.Errorf("%x opens to %+v, which is written as %x", raw, e, again)
		}
	})
}

func TestWindow(t *testing.T) {
	current, other := Run{Number: 2, Nonce: 1}, Run{Number: 3, Nonce: 9}
	from := func(run Run, sequence uint64) Envelope {
		return Envelope{Version: Plain, Sender: run, Sequence: sequence}
	}
	type step struct {
		topic string
		e     Envelope
		want  bool
	}
	for name, steps := range map[string][]step{
		"a new one":                  {{"hb", from(current, 1), true}},
		"the same again":             {{"hb", from(current, 5), true}, {"hb", from(current, 5), false}},
		"an older one":               {{"hb", from(current, 5), true}, {"hb", from(current, 4), false}},
		"gaps":                       {{"hb", from(current, 5), true}, {"hb", from(current, 500), true}},
		"each topic counts alone":    {{"hb", from(current, 5), true}, {"status", from(current, 4), true}},
		"another run, even a newer":  {{"hb", from(other, 1), false}},
		"the same number, cloned":    {{"hb", from(Run{Number: 2, Nonce: 2}, 1), false}},
		"nobody's":                   {{"hb", from(Run{}, 1), false}},
		"a refused one is forgotten": {{"hb", from(other, 9), false}, {"hb", from(current, 1), true}},
		"sequence zero":              {{"hb", from(current, 0), false}},
	} {
		var w Window
		w.Reset(current)
		for i, s := range steps {
			if got := w.Accept(s.topic, s.e); got != s.want {
				t.Errorf("%s: step %d: accepted: %v", name, i, got)
			}
		}
	}
}

func TestWindowThatWasNeverResetAcceptsNobody(t *testing.T) {
	var w Window
	if w.Accept("hb", Envelope{Sender: Run{Number: 1}, Sequence: 1}) {
		t.Error("it accepted a message of a run that nobody has proven")
	}
}

// Against a reference that remembers everything: within a run no sequence of a topic passes twice, none passes
// after a greater one, and none at or below the floor.
func TestWindowAgreesWithTheReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	runs := []Run{{Number: 1}, {Number: 2}, {Number: 2, Nonce: 1}}
	topics := []string{"hb", "status", "res"}
	var w Window
	var run Run
	var floor uint64
	passed := map[string][]uint64{}
	accepted := 0
	for range 20000 {
		if random.IntN(200) == 0 {
			run, floor = runs[random.IntN(len(runs))], uint64(random.IntN(10))
			w.ResetAt(run, floor)
			clear(passed)
			if w.Run() != run {
				t.Fatalf("the window is of run %s", w.Run())
			}
		}
		topic := topics[random.IntN(len(topics))]
		e := Envelope{Sender: runs[random.IntN(len(runs))], Sequence: uint64(random.IntN(60))}
		want := run != Run{} && e.Sender == run && e.Sequence > floor
		for _, before := range passed[topic] {
			want = want && e.Sequence > before
		}
		if got := w.Accept(topic, e); got != want {
			t.Fatalf("%s %d of %s, floor %d, after %v: accepted: %v", topic, e.Sequence, e.Sender, floor, passed[topic], got)
		}
		if want {
			accepted++
			passed[topic] = append(passed[topic], e.Sequence)
		}
	}
	if accepted < 500 {
		t.Fatalf("only %d were accepted", accepted)
	}
}
