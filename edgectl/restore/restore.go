package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"github.com/skerry-edge/skerry/protocol/recovery"
)

// Files of a master's data directory, as the master names them (packages server and store/bolt there).
const (
	stateFile    = "state.db"
	epochFile    = "epoch"
	lockFile     = "lock"
	identityFile = "cluster.pem"
)

// Config says what to restore, and where.
type Config struct {
	Backup  string // file
	KeyFile string // with the recovery key
	Dir     string // the master's data directory; it need not be there
}

// Report says what was done.
type Report struct {
	recovery.Info
	Epoch string // in which the master will start, or above
	Aside string // where what was in the directory is now; empty: there was nothing
}

// Restore does it, all or nothing.
func Restore(c Config) (Report, error) {
	key, err := recovery.ReadKey(c.KeyFile)
	if err != nil {
		return Report{}, fmt.Errorf("--recovery-key: %w", err)
	}
	file, size, err := openWhole(c.Backup)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", c.Backup, err)
	}
	defer file.Close()
	backup, err := recovery.Open(file, size, key)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", c.Backup, explain(err, c.KeyFile))
	}
	dir, err := place(c.Dir)
	if err != nil {
		return Report{}, fmt.Errorf("--data-dir %s: %w", c.Dir, err)
	}
	held, err := take(dir)
	if err != nil {
		return Report{}, fmt.Errorf("--data-dir %s: %w", c.Dir, err)
	}
	defer held.release()
	report := Report{Info: backup.Info}
	if report.Epoch, err = above(backup.Info, held.epoch); err != nil {
		return Report{}, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restoring-*")
	if err != nil {
		return Report{}, fmt.Errorf("--data-dir %s: make a directory beside it: %w", c.Dir, permission(err))
	}
	if err := fill(fresh, backup, report.Epoch); err != nil {
		err = errors.Join(err, os.RemoveAll(fresh))
		return Report{}, fmt.Errorf("write %s: %w; nothing was changed", fresh, explain(diskFull(err, backup.Info.Store), c.KeyFile))
	}
	report.Aside, err = swap(fresh, dir, held)
	if err != nil {
		return Report{}, fmt.Errorf("--data-dir %s: %w", c.Dir, err)
	}
	return report, nil
}

// openWhole opens a backup that is whole, as anybody can see.
func openWhole(path string) (*os.File, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, errors.Unwrap(err)
	}
	checked, err := recovery.Check(file)
	if err != nil {
		return nil, 0, errors.Join(explain(err, ""), file.Close())
	}
	return file, checked.Bytes, nil
}

// explain says what to do about a backup that can't be used.
func explain(err error, keyFile string) error {
	switch {
	case errors.Is(err, recovery.ErrDamaged):
		return fmt.Errorf("%w; take another copy of this backup, or an older one", err)
	case errors.Is(err, recovery.ErrKey):
		return fmt.Errorf("%w, from %s; find the recovery key that the cluster had when the backup was made", err, keyFile)
	case errors.Is(err, recovery.ErrVersion):
		return fmt.Errorf("%w; use the edgectl of the master that made it, or a newer one", err)
	}
	return err
}

func permission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run with sudo", err)
	}
	return err
}

func diskFull(err error, need int64) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: the store alone takes %d bytes; free space there", err, need)
	}
	return err
}

// above is an epoch that is newer than the backup's, and than that of the directory it goes to.
func above(info recovery.Info, term uint32) (string, error) {
	term = max(term, info.Term)
	if term == math.MaxUint32 {
		return "", errors.New("the epochs are used up: this is no backup of a real cluster")
	}
	return fmt.Sprintf("%d.%d", term+1, rand.Uint32N(randomStarts)), nil
}

// randomStarts is half of the starts that a term has (change.MaxStart of the master): the others are for starting.
const randomStarts = 1 << 11

// fill writes the new directory and syncs all of it.
func fill(dir string, backup *recovery.Reader, epoch string) error {
	if err := backup.Bundle.Place(dir); err != nil {
		return err
	}
	if err := backup.Info.Note(dir); err != nil {
		return err
	}
	if err := write(filepath.Join(dir, epochFile), func(f *os.File) error {
		_, err := f.WriteString(epoch + "\n")
		return err
	}); err != nil {
		return err
	}
	err := write(filepath.Join(dir, stateFile), func(f *os.File) error {
		n, err := io.Copy(f, backup)
		if err == nil && n != backup.Info.Store {
			err = fmt.Errorf("%w: the store has %d bytes instead of %d", recovery.ErrDamaged, n, backup.Info.Store)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err != nil {
		return fmt.Errorf("%w: it lacks the cluster's keys", recovery.ErrDamaged)
	}
	return syncDir(dir)
}

func write(path string, content func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(content(f), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
