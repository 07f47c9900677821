package disk

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/protocol/message"
)

// Desired is the stored desired state; a zero position means that there is none. content is an encoded
// message.Content, digest is its digest.
func (d *Disk) Desired() (position message.Position, digest message.Digest, content []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.position == (message.Position{}) {
		return message.Position{}, message.Digest{}, nil, nil
	}
	err = d.db.View(func(tx *bolt.Tx) error {
		content, err = d.openContent(tx.Bucket(contentBucket).Get(sealedKey))
		return err
	})
	if err != nil {
		return message.Position{}, message.Digest{}, nil, fmt.Errorf("read the desired state: %w", err)
	}
	return d.position, d.digest, content, nil
}

// KeepDesired replaces the desired state. Content that is there already is not written again.
func (d *Disk) KeepDesired(position message.Position, digest message.Digest, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.position != (message.Position{}) && digest == d.digest {
		return d.keepPosition(position)
	}
	err := d.put("keep the desired state", func(tx *bolt.Tx, node *bolt.Bucket) error {
		return errors.Join(
			tx.Bucket(contentBucket).Put(sealedKey, d.ring.Seal(contentPlace, content)),
			node.Put(positionKey, message.Encode(position)),
		)
	})
	if err == nil {
		d.position, d.digest = position, digest
	}
	return err
}

// KeepPosition renumbers the desired state without writing its content again.
func (d *Disk) KeepPosition(position message.Position) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.position == (message.Position{}) {
		return errors.New("keep the position of the desired state: there is none")
	}
	return d.keepPosition(position)
}

func (d *Disk) keepPosition(position message.Position) error {
	if position == d.position {
		return nil
	}
	err := d.put("keep the position of the desired state", func(_ *bolt.Tx, node *bolt.Bucket) error {
		return node.Put(positionKey, message.Encode(position))
	})
	if err == nil {
		d.position = position
	}
	return err
}

// Epoch is the highest epoch ever seen.
func (d *Disk) Epoch() (message.Epoch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch, nil
}

// KeepEpoch raises it; a lower one changes nothing.
func (d *Disk) KeepEpoch(epoch message.Epoch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.epoch.Less(epoch) {
		return nil
	}
	err := d.put("keep the highest epoch", func(_ *bolt.Tx, node *bolt.Bucket) error {
		return node.Put(epochKey, message.Encode(epoch))
	})
	if err == nil {
		d.epoch = epoch
	}
	return err
}

// Forget drops what a cluster has said: the desired state and the highest epoch. A node that joins, joins without
// them: those of another cluster, or of one that was set up anew, would keep it from obeying.
func (d *Disk) Forget() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.position == (message.Position{}) && d.epoch == (message.Epoch{}) {
		return nil
	}
	err := d.put("forget what the last cluster wanted", func(tx *bolt.Tx, node *bolt.Bucket) error {
		return errors.Join(tx.Bucket(contentBucket).Delete(sealedKey), node.Delete(positionKey), node.Delete(epochKey))
	})
	if err == nil {
		d.position, d.digest, d.epoch = message.Position{}, message.Digest{}, message.Epoch{}
	}
	return err
}
