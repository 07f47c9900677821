package disk

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Records are what is remembered of each pod, by its uid.
func (d *Disk) Records() (map[string][]byte, error) {
	out := map[string][]byte{}
	err := d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(recordBucket).ForEach(func(uid, record []byte) error {
			out[string(uid)] = append([]byte(nil), record...)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the records of pods: %w", err)
	}
	return out, nil
}

// KeepRecords replaces the records of these pods, in one commit; nil forgets one. Those that are as stored
// are not written.
func (d *Disk) KeepRecords(records map[string][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := map[string][]byte{}
	err := d.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(recordBucket)
		for uid, record := range records {
			if old := bucket.Get([]byte(uid)); !bytes.Equal(old, record) || (old == nil) != (record == nil) {
				changed[uid] = record
			}
		}
		return nil
	})
	if err != nil || len(changed) == 0 {
		return err
	}
	return d.put("keep the records of pods", func(tx *bolt.Tx, _ *bolt.Bucket) error {
		bucket := tx.Bucket(recordBucket)
		var errs []error
		for _, uid := range slices.Sorted(maps.Keys(changed)) {
			if changed[uid] == nil {
				errs = append(errs, bucket.Delete([]byte(uid)))
			} else {
				errs = append(errs, bucket.Put([]byte(uid), changed[uid]))
			}
		}
		return errors.Join(errs...)
	})
}
