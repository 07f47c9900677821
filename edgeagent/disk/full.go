package disk

import (
	"context"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/protocol/ballast"
)

// A pod may fill the disk, and only the agent can stop it: so it must be able to store that the pod is to go.
const (
	// reserved is the room that the agent gives free when it finds none: a few desired states of the largest size.
	reserved = 2 << 20
	// allocated is how much of the database has blocks of its own from the start. What is written there needs no
	// room, so that a pod that takes every block as soon as it is free still can't keep the agent from writing.
	allocated = 4 << 20

	refillEvery = time.Minute
)

// Reserve reserves room on the disk again after it was used, until ctx ends.
func (d *Disk) Reserve(ctx context.Context) error {
	return d.ballast.Run(ctx, refillEvery, func(err error) {
		d.log.Warn().Err(err).Msg("no room is reserved for the agent, should the disk become full")
	})
}

// update is one commit.
func (d *Disk) update(change func(tx *bolt.Tx) error) error {
	return d.save(func() error { return d.db.Update(change) })
}

// save does a write, for which it gives the reserved room free if there is no other.
func (d *Disk) save(write func() error) error {
	used, err := d.ballast.Save(write)
	if used {
		d.log.Warn().Str("data_dir", d.dir).
			Msg("the disk is full: the room that was reserved for the agent is in use now; delete pods that write much, or files that nobody needs")
	}
	if ballast.IsFull(err) {
		return fmt.Errorf("the disk with %s is full; delete pods that write much, or files that nobody needs: %w", d.dir, err)
	}
	return err
}
