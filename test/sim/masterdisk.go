package sim

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// masterDisk is what outlives the master's process, and what was promised to be there.
type masterDisk struct {
	w       *World
	epoch   change.Epoch
	rev     change.Rev
	records map[change.Key]change.Record
	// promised are the encodings of all acknowledged writes; nil: it was acknowledged that there is none.
	promised map[change.Key][]byte
	written  map[change.Kind]int // durable writes

	// Of the commit under way.
	who     string
	changes []change.Change
}

func newMasterDisk(w *World) *masterDisk {
	return &masterDisk{w: w, records: map[change.Key]change.Record{}, promised: map[change.Key][]byte{}, written: map[change.Kind]int{}}
}

// open begins an epoch on what is on the disk.
func (d *masterDisk) open() *store.Memory {
	d.epoch = d.epoch.Next()
	s := store.NewMemory(store.Config{
		Schema: resource.Schema(), Epoch: d.epoch, Replicator: d, Records: maps.Values(d.records), Loaded: d.rev,
	})
	view := s.View()
	keys := slices.SortedFunc(maps.Keys(d.promised), func(a, b change.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if rec, _ := view.Get(key); !bytes.Equal(rec.Value, d.promised[key]) {
			d.w.fail("%s was acknowledged and is lost after a restart of the master", key)
		}
	}
	return s
}

// Replicate keeps a batch, before it is acknowledged.
func (d *masterDisk) Replicate(_ context.Context, epoch change.Epoch, batch store.Batch) error {
	m := d.w.master
	if m.dead {
		return errCrashed
	}
	crash := false
	if m.crashIn > 0 {
		m.crashIn--
		crash = m.crashIn == 0
	}
	if crash && !m.written {
		m.crash(d.w.between(100*time.Millisecond, 15*time.Second), false)
		return errCrashed
	}
	if kept := d.w.options.Broken.MasterDisk; kept == nil || kept() {
		d.keep(epoch, batch)
	}
	for _, c := range batch.Commits {
		for _, e := range c.Events {
			d.written[e.Key.Kind]++
		}
		d.log(c)
		d.w.checkCommit(d.who, c.Events, d.reasons())
		d.w.facts.follow(d.w, c.Events)
	}
	if crash {
		for _, c := range batch.Commits { // it may be seen after the restart, though nobody was told
			for _, e := range c.Events {
				d.promised[e.Key] = e.New.Value
			}
		}
		m.crash(d.w.between(100*time.Millisecond, 15*time.Second), false)
		return errCrashed
	}
	return nil
}

func (d *masterDisk) keep(epoch change.Epoch, batch store.Batch) {
	d.epoch = epoch
	for _, c := range batch.Commits {
		d.rev = c.Rev
		for _, e := range c.Events {
			if e.New.Exists() {
				d.records[e.Key] = e.New
			} else {
				delete(d.records, e.Key)
			}
		}
	}
}

func (d *masterDisk) acknowledge(changes []change.Change) {
	for _, c := range changes {
		d.promised[c.Key] = c.Value
	}
}

func (d *masterDisk) reasons() map[change.Key]string {
	out := map[change.Key]string{}
	for _, c := range d.changes {
		out[c.Key] = c.Reason
	}
	return out
}

func (d *masterDisk) log(c store.Commit) {
	reasons := d.reasons()
	for _, e := range c.Events {
		verb := "update"
		switch {
		case !e.New.Exists():
			verb = "delete"
		case !e.Old.Exists():
			verb = "create"
		}
		d.w.log("store", "%s %s %s %s %s: %s", c.Rev, d.who, verb, e.Key, mark(e.New.Value), reasons[e.Key])
	}
}
