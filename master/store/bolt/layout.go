package bolt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
)

// Names and sizes of the layout that doc.go draws.
var (
	formatBucket   = []byte("format")
	positionBucket = []byte("position")
	settingsBucket = []byte("settings")
	objectsBucket  = []byte("objects")
	sealedBucket   = []byte("sealed")
	journalBucket  = []byte("journal") // made by the first write that is journaled

	formatKey = []byte("skerry")
	epochKey  = []byte("epoch")
	revKey    = []byte("rev")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

const (
	formatNumber = 2
	plainFormat  = 1 // nothing was encrypted
	crcSize      = 4
	revSize      = 8
	epochSize    = 8
)

// seal puts the checksum in front of parts.
func seal(key []byte, parts ...[]byte) []byte {
	out := append(make([]byte, crcSize), bytes.Join(parts, nil)...)
	binary.BigEndian.PutUint32(out, checksum(key, out[crcSize:]))
	return out
}

// unseal returns what seal was given, aliasing stored; ok is false when it has changed since.
func unseal(key, stored []byte) (content []byte, ok bool) {
	if len(stored) < crcSize {
		return nil, false
	}
	content = stored[crcSize:]
	return content, binary.BigEndian.Uint32(stored) == checksum(key, content)
}

func checksum(key, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, content)
}

func objectKey(k change.Key) []byte {
	return append(append([]byte(k.Namespace), 0), k.Name...)
}

// recordSound reports whether a record is as encodeRecord made it.
func recordSound(key, stored []byte) bool {
	content, ok := unseal(key, stored)
	return ok && len(content) >= revSize && bytes.IndexByte(key, 0) >= 0
}

// decodeRecord copies a sound record out of the file.
func decodeRecord(kind change.Kind, key, stored []byte) change.Record {
	namespace, name, _ := bytes.Cut(key, []byte{0})
	content := stored[crcSize:]
	return change.Record{
		Key:   change.Key{Kind: kind, Namespace: string(namespace), Name: string(name)},
		Rev:   change.Rev(binary.BigEndian.Uint64(content)),
		Value: append(make([]byte, 0, len(content)-revSize), content[revSize:]...),
	}
}

// position is what the file says about itself.
type position struct {
	epoch change.Epoch
	rev   change.Rev
}

func (p position) put(tx *bbolt.Tx) error {
	b := tx.Bucket(positionBucket)
	epoch := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, p.epoch.Term), p.epoch.Start)
	if err := b.Put(epochKey, epoch); err != nil {
		return err
	}
	return b.Put(revKey, binary.BigEndian.AppendUint64(nil, uint64(p.rev)))
}

func getPosition(tx *bbolt.Tx) (p position, ok bool) {
	b := tx.Bucket(positionBucket)
	if b == nil {
		return position{}, false
	}
	epoch, rev := b.Get(epochKey), b.Get(revKey)
	if len(epoch) != epochSize || len(rev) != revSize {
		return position{}, false
	}
	return position{
		epoch: change.Epoch{Term: binary.BigEndian.Uint32(epoch), Start: binary.BigEndian.Uint32(epoch[4:])},
		rev:   change.Rev(binary.BigEndian.Uint64(rev)),
	}, true
}

// initialise makes the buckets of an empty file.
func initialise(tx *bbolt.Tx) error {
	for _, name := range [][]byte{formatBucket, positionBucket, settingsBucket, objectsBucket, sealedBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	if err := putFormat(formatNumber)(tx); err != nil {
		return err
	}
	return position{}.put(tx)
}

func putFormat(number byte) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(formatBucket).Put(formatKey, []byte{number}) }
}
