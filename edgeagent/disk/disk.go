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

	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/keyring"
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
	dir     string
	log     zerolog.Logger
	ballast *ballast.Ballast
	ring    *keyring.Ring
	db      *bolt.DB
	run     uint32

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
	sealedKey   = []byte("sealed") // the content of the desired state, encrypted
	digestKey   = []byte("digest") // these two by versions that encrypted nothing
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
	d := &Disk{dir: cfg.Dir, log: cfg.Log}
	var err error
	if d.ballast, err = ballast.New(ballast.Config{Dir: cfg.Dir, Bytes: reserved}); err != nil {
		cfg.Log.Warn().Err(err).Msg("no room is reserved for the agent, should the disk become full")
	}
	path := filepath.Join(cfg.Dir, fileName)
	db, err := d.openFile(path, cfg.LockTimeout)
	if errors.Is(err, errCorrupt) {
		aside, moveErr := setAside(path)
		if moveErr != nil {
			return nil, fmt.Errorf("%w; set it aside: %w", err, moveErr)
		}
		cfg.Log.Error().Err(err).Str("kept_as", aside).
			Msg("the agent's database can't be read; starting with an empty one: the master sends the desired state again, until then nothing new is started")
		db, err = d.openFile(path, cfg.LockTimeout)
	}
	if err != nil {
		return nil, err
	}
	d.db = db
	err = d.makeSecret(path, cfg.LockTimeout)
	if err == nil {
		err = d.begin(cfg.Log)
	}
	if err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// begin counts the run and reads what is small. A value that can't be read must not keep the agent from starting,
// now and at each try: it is dropped, and the rest is kept.
func (d *Disk) begin(log zerolog.Logger) error {
	err := d.update(func(tx *bolt.Tx) error {
		node, content := tx.Bucket(nodeBucket), tx.Bucket(contentBucket)
		var err error
		if d.run, err = load[uint32](node, runKey); err != nil {
			log.Error().Err(err).Msg("the stored number of the last run is damaged; runs are counted from one again")
		}
		d.run++
		var positionErr error
		d.position, positionErr = load[message.Position](node, positionKey)
		if d.epoch, err = load[message.Epoch](node, epochKey); err != nil {
			d.epoch = d.position.Epoch // it was at least that
			log.Error().Err(err).Stringer("instead", d.epoch).Msg("the stored highest epoch is damaged; going on from a lower one")
			if err := node.Put(epochKey, message.Encode(d.epoch)); err != nil {
				return err
			}
		}
		plain, damaged := d.openContent(content.Get(sealedKey))
		if plain == nil && damaged == nil && d.position != (message.Position{}) {
			damaged = errors.New("it has no content")
		}
		if errors.Is(damaged, keyring.ErrNoKey) {
			return d.keyError("the desired state", damaged)
		}
		if damaged = errors.Join(positionErr, damaged); damaged != nil {
			log.Error().Err(damaged).Msg("the stored desired state is damaged and is dropped: what runs goes on, the master sends it again")
			d.position = message.Position{}
			if err := errors.Join(content.Delete(sealedKey), node.Delete(positionKey)); err != nil {
				return err
			}
		}
		d.digest = message.Digest{}
		if d.position != (message.Position{}) {
			d.digest = message.DigestOf(plain)
		}
		return node.Put(runKey, message.Encode(d.run))
	})
	if err != nil {
		return fmt.Errorf("begin a run in %s: %w", filepath.Join(d.dir, fileName), err)
	}
	return nil
}

// load reads one encoded value; what is not there, or can't be read, is zero.
func load[T any](b *bolt.Bucket, key []byte) (T, error) {
	var zero T
	data := b.Get(key)
	if data == nil {
		return zero, nil
	}
	value, err := message.Decode[T](data)
	if err != nil {
		return zero, err
	}
	return value, nil
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
	err := d.update(func(tx *bolt.Tx) error { return change(tx, tx.Bucket(nodeBucket)) })
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
