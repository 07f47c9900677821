package etcdsync

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/skerry-edge/skerry/master/change"
)

// layout is what lies where below the cluster's prefix; doc.go draws it.
type layout struct{ prefix string }

func newLayout(cluster string) layout { return layout{"/skerry/" + cluster + "/"} }

func (l layout) meta() string      { return l.prefix + "meta" }
func (l layout) epoch() string     { return l.prefix + "epoch" }
func (l layout) position() string  { return l.prefix + "position" }
func (l layout) election() string  { return l.prefix + "election" }
func (l layout) refilling() string { return l.prefix + "refilling" }
func (l layout) synced() string    { return l.prefix + "synced" }
func (l layout) keys() string      { return l.prefix + "keys" }
func (l layout) terms() string     { return l.prefix + "terms/" }
func (l layout) objects() string   { return l.prefix + "objects/" }
func (l layout) masters() string   { return l.prefix + "masters/" }
func (l layout) alive() string     { return l.prefix + "alive/" }
func (l layout) conflicts() string { return l.prefix + "conflicts/" }
func (l layout) returned() string  { return l.prefix + "returned/" }
func (l layout) led() string       { return l.prefix + "led/" }
func (l layout) ended() string     { return l.prefix + "ended/" }

// takenOver is where the position stands at which a term began.
func (l layout) takenOver(number uint32) string { return fmt.Sprintf("%s%010d", l.terms(), number) }

// keptTerms is how many of these are kept.
const keptTerms = 64

// object is the key of an object: kind, namespace and name hold no slash.
func (l layout) object(k change.Key) string {
	return l.objects() + string(k.Kind) + "/" + k.Namespace + "/" + k.Name
}

func (l layout) parseObject(key string) (change.Key, error) {
	rest, ours := strings.CutPrefix(key, l.objects())
	parts := strings.Split(rest, "/")
	if !ours || len(parts) != 3 || parts[0] == "" || parts[2] == "" {
		return change.Key{}, fmt.Errorf("the key %q in etcd is none of an object", key)
	}
	return change.Key{Kind: change.Kind(parts[0]), Namespace: parts[1], Name: parts[2]}, nil
}

// slashed reports whether an object can't be a key in etcd.
func slashed(k change.Key) bool {
	return strings.Contains(string(k.Kind), "/") || strings.Contains(k.Namespace, "/") || strings.Contains(k.Name, "/")
}

const revSize = 8

// encodeObject puts the write id in front of a value.
func encodeObject(rev change.Rev, value []byte) string {
	return string(append(binary.BigEndian.AppendUint64(make([]byte, 0, revSize+len(value)), uint64(rev)), value...))
}

func decodeObject(stored []byte) (change.Rev, []byte, error) {
	if len(stored) < revSize {
		return 0, nil, fmt.Errorf("a value of %d bytes is too short", len(stored))
	}
	return change.Rev(binary.BigEndian.Uint64(stored)), append([]byte{}, stored[revSize:]...), nil
}

// position says how far the objects in etcd have come. Every transaction that writes any compares it and raises Seq.
type position struct {
	Rev change.Rev `json:"rev"`
	Seq uint64     `json:"seq"`
	mod int64      // etcd's revision of it
}

// term is the newest term, and the master that won it.
type term struct {
	Number uint32 `json:"term"`
	Owner  string `json:"owner"`
	CutOff CutOff `json:"cutOff,omitempty"` // what its leader does when it is cut off
	mod    int64  // etcd's revision of it
}

// meta says which cluster it is. Whoever makes a cluster writes it, once.
type meta struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	// Identity is the hash of the cluster's public keys, and Check a value encrypted under the key of the Secrets:
	// a master that has others must not write here.
	Identity string `json:"identity"`
	Check    []byte `json:"check"`
}

const formatNumber = 1

// checkName is the place that Check is bound to, checkText what it says.
const (
	checkName = "etcd check"
	checkText = "skerry"
)

// Master is what masters know of each other.
type Master struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`              // of its host
	API     string   `json:"api"`               // URL
	Brokers []string `json:"brokers,omitempty"` // of its embedded broker
	Version string   `json:"version"`
	// Rev is the revision of the newest write that it has, and Alive whether it runs.
	Rev   change.Rev `json:"rev,string,omitempty"`
	Alive bool       `json:"-"`
}

// leader is the value of the election key.
type leader struct {
	Master
	Term uint32 `json:"term"`
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("etcdsync: " + err.Error()) // structs of plain fields
	}
	return string(text)
}

func decode[T any](key string, value []byte) (v T, err error) {
	if err := json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("read %s in etcd: %w", key, err)
	}
	return v, nil
}
