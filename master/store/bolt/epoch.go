package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/ballast"
)

// nextEpoch is an epoch that this directory has never used. held is what state.db says; after a restore it is
// old, and the file beside it knows better. If that is lost too, a new term is on the safe side.
func nextEpoch(dir string, held change.Epoch, restored bool) (change.Epoch, error) {
	noted, err := readEpoch(filepath.Join(dir, epochFile))
	if err != nil {
		return change.Epoch{}, err
	}
	switch {
	case held.Less(noted):
		return noted.Next(), nil
	case noted == change.Epoch{} && restored:
		return change.Epoch{Term: held.Term + 1}, nil
	default:
		return held.Next(), nil
	}
}

// readEpoch is zero when the file is missing or makes no sense; state.db then knows the epoch too.
func readEpoch(path string) (change.Epoch, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return change.Epoch{}, nil
	}
	if err != nil {
		return change.Epoch{}, fmt.Errorf("read the epoch: %w", err)
	}
	var e change.Epoch
	if _, err := fmt.Sscanf(string(text), "%d.%d\n", &e.Term, &e.Start); err != nil || e.Start > change.MaxStart {
		return change.Epoch{}, nil
	}
	return e, nil
}

// begin makes an epoch durable, in both places, before any write of it. A full disk does not keep it from that.
func begin(config Config, b *ballast.Ballast, db *bbolt.DB, p position) error {
	err := save(config, b, func() error {
		err := place(filepath.Join(config.Dir, epochFile), func(aside string) error {
			return os.WriteFile(aside, []byte(p.epoch.String()+"\n"), 0o600)
		})
		if err == nil {
			err = db.Update(p.put)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("begin epoch %s: %w", p.epoch, err)
	}
	return nil
}
