package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

// Config of a Store.
type Config struct {
	// Dir is the data directory; it is created when missing.
	Dir    string
	Schema store.Schema
	// Sealed are the kinds whose values are encrypted in the file and its copies.
	Sealed map[change.Kind]bool
	// Replicator is told of every durable write before it is acknowledged; nil for none.
	Replicator store.Replicator
	// Follows opens the store for the writes of another master: no epoch begins, Mirror alone writes, and Commit says
	// store.ErrNotLeader, until Lead is called. A store that had to be restored begins an epoch all the same.
	Follows bool
	// UserWrite says whether a write is somebody's will, which the journal notes; nil: every one is.
	UserWrite func(change.Event) bool
	// Reserved is how many bytes of the disk are kept for starting and deleting when it is full; 0 means 8 MiB.
	Reserved int64
	// LockTimeout is how long to wait for another process to leave the directory; 0 means two seconds.
	LockTimeout time.Duration
	// Clock times the daily snapshots that Run takes; Logger gets their failures.
	Clock  clock.Source
	Logger zerolog.Logger
}

// Report says what Open had to do about the files, for the log and an event.
type Report struct {
	// Problem is why state.db could not be used; nil when it could.
	Problem error
	// SetAside is where the unusable file lies now; empty when it had vanished.
	SetAside string
	// RestoredRev is the revision of the snapshot that took its place. Later writes are lost.
	RestoredRev change.Rev
	// Freed is the number of bytes that compacting gave back; CompactError why it failed. The store works
	// either way.
	Freed        int64
	CompactError error
}

// options of the open file. The map is as large as most clusters ever need, so that a snapshot never makes a
// write wait for a bigger one; the list of free pages is found by reading the file, which saves a page a commit.
var options = bbolt.Options{
	Timeout:         time.Second,
	FreelistType:    bbolt.FreelistMapType,
	NoFreelistSync:  true,
	InitialMmapSize: 64 << 20,
}

// Open opens the store of a directory, or creates it. A file that is corrupt is set aside and the snapshot
// restored in its place, which the report says; without a snapshot that is an error and nothing is touched.
func Open(config Config) (*Store, Report, error) {
	if config.LockTimeout == 0 {
		config.LockTimeout = 2 * time.Second
	}
	if config.Reserved == 0 {
		config.Reserved = reserved
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, Report{}, fmt.Errorf("create the data directory: %w", err)
	}
	lock, err := lockDir(config.Dir, config.LockTimeout)
	if err != nil {
		return nil, Report{}, err
	}
	s, report, err := open(config)
	if err != nil {
		lock.Close()
		return nil, report, err
	}
	s.lock = lock
	go s.write()
	return s, report, nil
}

func open(config Config) (*Store, Report, error) {
	leftovers, err := filepath.Glob(filepath.Join(config.Dir, backupPattern))
	if err != nil {
		return nil, Report{}, fmt.Errorf("open store: %w", err)
	}
	for _, aside := range leftovers { // of a process that was killed; place replaces the others
		if err := removeIfThere(aside); err != nil {
			return nil, Report{}, fmt.Errorf("open store: %w", err)
		}
	}
	b, err := ballast.New(ballast.Config{Dir: config.Dir, Bytes: config.Reserved})
	if err != nil {
		config.Logger.Warn().Err(err).Msg("no room is reserved for the store, should the disk become full")
	}
	path := filepath.Join(config.Dir, StateFile)
	sealed, err := loadSealing(config)
	if err != nil {
		return nil, Report{}, err
	}
	db, held, report, err := openSound(config, b, path, sealed)
	if err != nil {
		return nil, report, keyError(config.Dir, err)
	}
	if db, err = makeSecret(config, b, db, path, held.needsRewrite(), &sealed); err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, report, err
	}
	if waste := wasted(db); waste > 0 {
		if db, err = compact(db, path, sealed); err != nil {
			report.CompactError = err
		} else {
			report.Freed = waste
		}
	}
	if db == nil {
		return nil, report, report.CompactError
	}
	epoch, err := nextEpoch(config.Dir, held.epoch, report.Problem != nil)
	follows := config.Follows && report.Problem == nil && !held.epoch.Next().Less(epoch)
	if err == nil && follows {
		epoch = held.epoch
	} else if err == nil {
		err = begin(config, b, db, position{epoch: epoch, rev: held.rev})
	}
	if err != nil {
		return nil, report, errors.Join(err, db.Close())
	}
	core := store.NewCore(store.CoreConfig{
		Schema:  config.Schema,
		Epoch:   epoch,
		Records: slices.Values(held.records),
		Loaded:  held.rev,
		Follows: follows,
	})
	return newStore(config, sealed, b, db, core, held.rev), report, nil
}

// makeSecret sees to it that there are keys, and that everything in the file and its snapshot is encrypted that should
// be. It takes db and returns the one to go on with; nil if there is none.
func makeSecret(config Config, b *ballast.Ballast, db *bbolt.DB, path string, rewrite bool, sealed *sealing) (*bbolt.DB, error) {
	var err error
	if sealed.ring == nil {
		// Nothing was encrypted so far: it could not have been read.
		if sealed.ring, err = keyring.New(keyFile(config.Dir)); err != nil {
			return db, err
		}
		if err := save(config, b, sealed.ring.Keep); err != nil {
			return db, err
		}
	}
	if rewrite {
		err := save(config, b, func() (err error) { db, err = encrypt(db, path, *sealed); return err })
		if err != nil {
			return db, err
		}
	}
	if err := replaceSnapshot(db, filepath.Join(config.Dir, snapshotFile), *sealed); err != nil {
		config.Logger.Warn().Err(err).Msg("an old snapshot still holds secrets that are not encrypted; the next daily one replaces it")
	}
	return db, nil
}

// openSound opens a file that has been read whole: the one that is there, a new one, or the snapshot.
func openSound(config Config, b *ballast.Ballast, path string, sealed sealing) (*bbolt.DB, contents, Report, error) {
	snapshot := filepath.Join(filepath.Dir(path), snapshotFile)
	db, held, problem := openChecked(path, sealed)
	switch {
	case problem == nil:
		return db, held, Report{}, nil
	case errors.Is(problem, fs.ErrNotExist):
		if _, err := os.Stat(snapshot); errors.Is(err, fs.ErrNotExist) {
			if err := save(config, b, func() error { return create(path) }); err != nil {
				return nil, contents{}, Report{}, err
			}
			db, held, err = openChecked(path, sealed)
			return db, held, Report{}, err
		}
	case !errors.Is(problem, errCorrupt):
		return nil, contents{}, Report{}, problem
	}

	report := Report{Problem: problem}
	saved, err := load(snapshot, sealed, true)
	if errors.Is(err, keyring.ErrNoKey) || errors.Is(err, keyring.ErrDamaged) {
		return nil, contents{}, report, fmt.Errorf("%w, and of the snapshot beside it: %w", problem, err)
	}
	if err != nil {
		return nil, contents{}, report, fmt.Errorf("%w, and there is no good snapshot beside it (%v): "+
			"nothing was changed; restore a backup (edgectl restore), or move %s away to start an empty cluster", problem, err, path)
	}
	if errors.Is(problem, errCorrupt) {
		if report.SetAside, err = setAside(path); err != nil {
			return nil, contents{}, report, err
		}
	}
	err = save(config, b, func() error {
		return place(path, func(aside string) error { return copyFile(snapshot, aside) })
	})
	if err != nil {
		return nil, contents{}, report, err
	}
	report.RestoredRev = saved.rev
	db, held, err = openChecked(path, sealed)
	return db, held, report, err
}

// openChecked reads a file whole, then opens it for writing.
func openChecked(path string, sealed sealing) (db *bbolt.DB, held contents, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, err)
		}
	}()
	if held, err = load(path, sealed, true); err != nil {
		return nil, contents{}, err
	}
	defer whenCorrupt(&err)()
	opts := options
	if db, err = bbolt.Open(path, 0o600, &opts); err != nil {
		return nil, contents{}, openError(err)
	}
	return db, held, release(db)
}

// release gives back the memory of the pages that bbolt has read to find the free ones: as much as the file is
// large, and never needed again, for the objects are in memory.
func release(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED)
		if errno != 0 {
			return fmt.Errorf("release the mapped file: %w", errno)
		}
		return nil
	})
}

func create(path string) error {
	return place(path, func(aside string) error {
		db, err := bbolt.Open(aside, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true})
		if err != nil {
			return err
		}
		return errors.Join(db.Update(initialise), db.Close())
	})
}

// compactFrom is the size below which a file is not worth compacting.
const compactFrom = 1 << 20

// wasted is the number of bytes to win by compacting: 0 unless that is more than half of the file.
func wasted(db *bbolt.DB) int64 {
	var size int64
	if err := db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil || size < compactFrom {
		return 0
	}
	if free := int64(db.Stats().FreePageN) * int64(db.Info().PageSize); free > size/2 {
		return free
	}
	return 0
}

// compact writes the file anew. It takes db and returns the database to go on with; nil if there is none.
func compact(db *bbolt.DB, path string, sealed sealing) (*bbolt.DB, error) {
	err := place(path, func(aside string) error {
		to, err := bbolt.Open(aside, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true})
		if err != nil {
			return err
		}
		return errors.Join(bbolt.Compact(to, db, compactFrom), to.Close())
	})
	if err != nil {
		return db, fmt.Errorf("compact: %w", err)
	}
	if err := db.Close(); err != nil {
		return nil, fmt.Errorf("close %s: %w", path, err)
	}
	db, _, err = openChecked(path, sealed)
	return db, err
}
