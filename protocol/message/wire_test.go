package message

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// sample is a message with every field set, how it looks on the wire, and how it is read.
type sample struct {
	message any
	wire    string // hex; spaces are for people
	decode  func([]byte) (any, error)
}

func decoder[T any](data []byte) (any, error) { return Decode[T](data) }

func digest(b byte) Digest { return Digest(bytes.Repeat([]byte{b}, 16)) }

var (
	somePosition = Position{Epoch: Epoch{Term: 1, Start: 2}, Serial: 3}
	someSettings = Settings{HeartbeatMillis: 10000, TimeoutMillis: 30000}
)

// samples are the wire format. An entry that has to be changed breaks what is deployed; new fields are added to
// the end of a line.
var samples = map[string]sample{
	"Leader": {
		Leader{Epoch: Epoch{Term: 1, Start: 2}, Time: 1700000000, Master: "m", Signature: []byte{0xff}},
		"a4 01 a2 01 01 02 02 02 1a 6553f100 03 61 6d 04 41 ff", decoder[Leader],
	},
	"Hello": {
		Hello{Challenge: 1, BootID: "b", Stored: somePosition, Digest: digest(4), Highest: Epoch{Start: 5}, Version: "v"},
		"a6 01 01 02 61 62 03 a2 01 a2 01 01 02 02 02 03 04 50 04040404040404040404040404040404 05 a1 02 05 06 61 76", decoder[Hello],
	},
	"Heartbeat": {
		Heartbeat{Applied: somePosition, Status: digest(9), Readings: Readings{CPUMilli: 250, MemoryKiB: 70000, DiskKiB: 24}},
		"a3 01 a2 01 a2 01 01 02 02 02 03 02 50 09090909090909090909090909090909 03 a3 01 18 fa 02 1a 00011170 03 18 18", decoder[Heartbeat],
	},
	"Presence": {Presence{Online: true, Connection: 300}, "a2 01 f5 02 19 012c", decoder[Presence]},
	"Status": {
		Status{
			Complete: true, Base: digest(1), Digest: digest(2), Echo: 3, Node: []byte("n"),
			Pods:   []PodStatus{{UID: "u", Namespace: "s", Name: "p", Status: []byte("x"), Gone: true}},
			Events: []Event{{UID: "u", Namespace: "s", Name: "p", FieldPath: "f", Warning: true, Reason: "r", Message: "m", Count: 1, Time: 2}},
		},
		"a7 01 f5 02 50 01010101010101010101010101010101 03 50 02020202020202020202020202020202 04 03 05 41 6e " +
			"06 81 a5 01 61 75 02 61 73 03 61 70 04 41 78 05 f5 " +
			"07 81 a9 01 61 75 02 61 73 03 61 70 04 61 66 05 f5 06 61 72 07 61 6d 08 01 09 02", decoder[Status],
	},
	"Desired": {
		Desired{Position: somePosition, Digest: digest(7), Content: []byte{1, 2}},
		"a3 01 a2 01 a2 01 01 02 02 02 03 02 50 07070707070707070707070707070707 03 42 0102", decoder[Desired],
	},
	"Content": {
		Content{Pods: [][]byte{{1}, {2}}, ConfigMaps: [][]byte{{3}}, Secrets: [][]byte{{4}}, Settings: someSettings},
		"a4 01 82 41 01 41 02 02 81 41 03 03 81 41 04 04 a2 01 19 2710 02 19 7530", decoder[Content],
	},
	"Request with a welcome": {
		Request{Welcome: &Welcome{Echo: 1, Challenge: 2, Desired: somePosition, Digest: digest(3), Settings: someSettings}},
		"a1 01 a5 01 01 02 02 03 a2 01 a2 01 01 02 02 02 03 04 50 03030303030303030303030303030303 05 a2 01 19 2710 02 19 7530", decoder[Request],
	},
	"Request for a resync":      {Request{Resync: &Resync{Hello: true, Status: true}}, "a1 02 a2 01 f5 02 f5", decoder[Request]},
	"Request with a frame":      {Request{Frame: []byte{9}}, "a1 03 41 09", decoder[Request]},
	"Response that wants state": {Response{WantDesired: &WantDesired{Have: somePosition}}, "a1 01 a1 01 a2 01 a2 01 01 02 02 02 03", decoder[Response]},
	"Response with a frame":     {Response{Frame: []byte{9}}, "a1 02 41 09", decoder[Response]},
}

func TestWireFormat(t *testing.T) {
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			if got, want := hex.EncodeToString(Encode(s.message)), strings.ReplaceAll(s.wire, " ", ""); got != want {
				t.Errorf("encoded\n got %s\nwant %s", got, want)
			}
			got, err := s.decode(Encode(s.message))
			if diff := cmp.Diff(s.message, got); err != nil || diff != "" {
				t.Errorf("decoded: %v\n%s", err, diff)
			}
		})
	}
}

// A field without a value costs nothing, but for digests and structs, which are always there.
func TestZeroIsEmpty(t *testing.T) {
	for name, s := range samples {
		zero := reflect.Zero(reflect.TypeOf(s.message)).Interface()
		got, err := s.decode([]byte{0xa0})
		if diff := cmp.Diff(zero, got); err != nil || diff != "" {
			t.Errorf("%s: the empty map decodes to something else: %v\n%s", name, err, diff)
		}
		if n := len(Encode(zero)); n > 37 {
			t.Errorf("%s: the zero message has %d bytes", name, n)
		}
	}
}

// A newer peer may add fields anywhere; an older one reads what it knows.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			for _, added := range []any{uint64(1), "text", []byte("bytes"), true, []any{1, "x"}, map[any]any{1: map[any]any{2: 3}}, nil} {
				var tree any
				if err := cbor.Unmarshal(Encode(s.message), &tree); err != nil {
					t.Fatal(err)
				}
				n := addField(tree, added)
				extended, err := encoding.Marshal(tree)
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.decode(extended)
				if diff := cmp.Diff(s.message, got); err != nil || diff != "" || n == 0 {
					t.Errorf("with %v added in %d places: %v\n%s", added, n, err, diff)
				}
			}
		})
	}
}

// addField adds a field of an unknown number to every map of a decoded message, and counts them.
func addField(tree, value any) (n int) {
	switch node := tree.(type) {
	case map[any]any:
		for _, child := range node {
			n += addField(child, value)
		}
		node[uint64(200)] = value
		n++
	case []any:
		for _, child := range node {
			n += addField(child, value)
		}
	}
	return n
}

// Every message cut off anywhere, or followed by anything, is an error.
func TestTruncatedMessagesAreRefused(t *testing.T) {
	for name, s := range samples {
		whole := Encode(s.message)
		for n := range whole {
			if _, err := s.decode(whole[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes decode", name, n, len(whole))
			}
		}
		if _, err := s.decode(append(whole, 0)); err == nil {
			t.Errorf("%s: a byte too many is accepted", name)
		}
	}
}

// What would cost more than its size, or has no meaning here, is refused.
func TestMalformedMessagesAreRefused(t *testing.T) {
	nested := strings.Repeat("81", 20) + "00"
	for name, wire := range map[string]string{
		"a huge array":            "a1 06 9a 7fffffff",
		"a huge map":              "ba 7fffffff",
		"a huge string":           "a1 05 5b 7fffffffffffffff",
		"deep nesting":            "a1 18c8" + nested,
		"an indefinite array":     "a1 06 9f ff",
		"an indefinite map":       "bf ff",
		"an indefinite string":    "a1 05 5f 41 00 ff",
		"a tag":                   "a1 04 c2 41 01",
		"a field twice":           "a2 04 01 04 02",
		"a field of another type": "a1 04 61 78",
		"a number too large":      "a1 01 a1 01 1b 0000000100000000",
		"a digest too long":       "a1 03 51 0303030303030303030303030303030303",
		"no map":                  "00",
		"nothing":                 "",
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(wire, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, asStatus := Decode[Status](raw)
		_, asLeader := Decode[Leader](raw)
		if asStatus == nil && asLeader == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A heartbeat is what an idle node costs: 64 bytes at most, with values no real node or cluster exceeds.
func TestHeartbeatIsSmall(t *testing.T) {
	largest := Heartbeat{
		Applied:  Position{Epoch: Epoch{Term: 1<<32 - 1, Start: 1<<12 - 1}, Serial: 1<<32 - 1},
		Status:   digest(255),
		Readings: Readings{CPUMilli: 1<<32 - 1, MemoryKiB: 1<<32 - 1, DiskKiB: 1<<32 - 1}, // 4 TiB
	}
	if n := len(Encode(largest)); n > 64 {
		t.Errorf("the largest heartbeat has %d bytes", n)
	}
	asking := largest
	asking.Ask = 4 * 365 * 24 * 3600 * 1000 // four years after the boot
	if n := len(Encode(asking.Fitting())); n > 64 || asking.Fitting().Ask != asking.Ask {
		t.Errorf("the largest that asks for a permit has %d bytes", n)
	}
	asking.Applied.Epoch.Term, asking.Applied.Serial, asking.Readings.CPUMilli = 1<<16-1, 1<<16-1, 1<<16-1
	if fits := asking.Fitting(); fits != asking {
		t.Errorf("in term 65535, at document 65535, on 65 cores, it is sent as %+v", fits)
	}
}
