package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/protocol/message"
)

// Config of a Disk.
type Config struct {
	Dir         string        // the data directory; made if it does not exist
	LockTimeout time.Duration // how long to wait for another agent to let go; 0: 3 s
	Log         zerolog.Logger
}

// Disk is an open data directory. All methods may be called from several goroutines.
type Disk struct {
	dir string
	db  *bolt.DB
	run uint32

	mu       sync.Mutex // one writer at a time; guards what follows
	epoch    message.Epoch
	position message.Position
	digest   message.Digest
}

const fileName = "agent.db"

// The buckets. The content of the desired state has one for itself: bbolt writes whole leaves.
var (
	nodeBucket    = []byte("node")
	contentBucket = []byte("content")
	recordBucket  = []byte("pods")

	runKey      = []byte("run")
	epochKey    = []byte("epoch")
	positionKey = []byte("position")
	digestKey   = []byte("digest")
	contentKey  = []byte("content")
)

// Open opens the data directory, for this process alone, and begins a new run.
func Open(cfg Config) (*Disk, error) {
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = 3 * time.Second
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	path := filepath.Join(cfg.Dir, fileName)
	db, err := openFile(path, cfg.LockTimeout)
	if errors.Is(err, errCorrupt) {
		aside, moveErr := setAside(path)
		if moveErr != nil {
			return nil, fmt.Errorf("%w; set it aside: %w", err, moveErr)
		}
		cfg.Log.Error().Err(err).Str("kept_as", aside).
			Msg("the agent's database can't be read; starting with an empty one: the master sends the desired state again, until then nothing new is started")
		db, err = openFile(path, cfg.LockTimeout)
	}
	if err != nil {
		return nil, err
	}
	d := &Disk{dir: cfg.Dir, db: db}
	if err := d.begin(cfg.Log); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// begin counts the run and reads what is small.
func (d *Disk) begin(log zerolog.Logger) error {
	err := d.db.Update(func(tx *bolt.Tx) error {
		node := tx.Bucket(nodeBucket)
		var err error
		if d.run, err = load[uint32](node, runKey); err != nil {
			return err
		}
		d.run++
		if d.epoch, err = load[message.Epoch](node, epochKey); err != nil {
			return err
		}
		if d.position, err = load[message.Position](node, positionKey); err != nil {
			return err
		}
		if d.digest, err = load[message.Digest](node, digestKey); err != nil {
			return err
		}
		content := tx.Bucket(contentBucket)
		if d.position != (message.Position{}) && message.DigestOf(content.Get(contentKey)) != d.digest {
			log.Error().Msg("the stored desired state is damaged and is dropped: what runs goes on, the master sends it again")
			d.position, d.digest = message.Position{}, message.Digest{}
			if err := errors.Join(content.Delete(contentKey), node.Delete(positionKey), node.Delete(digestKey)); err != nil {
				return err
			}
		}
		return node.Put(runKey, message.Encode(d.run))
	})
	if err != nil {
		return fmt.Errorf("begin a run in %s: %w", filepath.Join(d.dir, fileName), err)
	}
	return nil
}

// load reads one encoded value; what is not there is zero.
func load[T any](b *bolt.Bucket, key []byte) (T, error) {
	data := b.Get(key)
	if data == nil {
		var zero T
		return zero, nil
	}
	return message.Decode[T](data)
}

// Run is the number of this run: one more than that of the last, on this disk.
func (d *Disk) Run() uint32 { return d.run }

// Close lets go of the directory.
func (d *Disk) Close() error {
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("close the agent's database: %w", err)
	}
	return nil
}

// put writes values into the node's bucket, in one commit.
func (d *Disk) put(doing string, change func(tx *bolt.Tx, node *bolt.Bucket) error) error {
	err := d.db.Update(func(tx *bolt.Tx) error { return change(tx, tx.Bucket(nodeBucket)) })
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Written is how many bytes of pages the database has allocated for writing since Open: 0 bytes an hour is
// the budget of an idle agent.
func (d *Disk) Written() int64 {
	stats := d.db.Stats()
	return stats.TxStats.GetPageAlloc()
}
