package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// recipientFile has the public half of the recovery key. The key itself is with the administrator alone.
const recipientFile = "recovery.pub"

const recipientRemark = "# The public half of the cluster's recovery key: backups are sealed for it, and the key opens them.\n"

// recoveryKeeper makes backups. It implements apiserver.Recovery.
type recoveryKeeper struct {
	dir, cluster string
	store        interface{ Copy() (*bolt.Copy, error) }
	clock        clock.Source

	mu        sync.Mutex
	recipient recovery.Recipient // zero: there is none
	digest    []byte             // of the key files; nil: not known
	running   bool               // a backup

	// With etcd: whether the recovery key may change now, and what is done when it has. nil: nothing.
	mayChange, changed func() error
}

var _ apiserver.Recovery = (*recoveryKeeper)(nil)

// openRecovery reads for whom backups are sealed. A key file, if one is given, decides it for a cluster that has no
// recovery key, and has to be the right one otherwise.
func openRecovery(config Config) (*recoveryKeeper, error) {
	k := &recoveryKeeper{dir: config.DataDir, cluster: config.Cluster, clock: daemon.Clock}
	text, err := readSmall(k.path())
	switch {
	case err == nil:
		if k.recipient, err = recovery.ParseRecipient(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w; put the file back, or delete it and make a new recovery key: edgectl recovery-key rotate", k.path(), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the public half of the recovery key: %w", err)
	}
	if config.RecoveryKey == "" {
		return k, nil
	}
	given, err := readRecoveryKey(config.RecoveryKey)
	switch {
	case err != nil:
		return nil, daemon.Usage(fmt.Errorf("--recovery-key: %w", err))
	case k.recipient.IsZero():
		return k, k.keep(given.Recipient())
	case k.recipient != given.Recipient():
		return nil, daemon.Usage(fmt.Errorf("--recovery-key %s: it has the id %s, the cluster's has the id %s; leave the flag out, or replace the cluster's: edgectl recovery-key rotate",
			config.RecoveryKey, given.Recipient().ID(), k.recipient.ID()))
	}
	return k, nil
}

// readRecoveryKey reads a key that everybody on the machine could read otherwise.
func readRecoveryKey(path string) (recovery.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return recovery.Key{}, err
	}
	if info.Mode().Perm()&0o004 != 0 {
		return recovery.Key{}, fmt.Errorf("everybody on this machine can read %s; chmod 600 %s", path, path)
	}
	return recovery.ReadKey(path)
}

func (k *recoveryKeeper) path() string { return filepath.Join(k.dir, recipientFile) }

// Recipient implements apiserver.Recovery.
func (k *recoveryKeeper) Recipient() recovery.Recipient {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.recipient
}

// SetRecipient implements apiserver.Recovery.
func (k *recoveryKeeper) SetRecipient(r recovery.Recipient) error {
	if k.mayChange != nil {
		if err := k.mayChange(); err != nil {
			return err
		}
	}
	if err := k.keep(r); err != nil || k.changed == nil {
		return err
	}
	return k.changed()
}

// keep keeps the recipient on the disk.
func (k *recoveryKeeper) keep(r recovery.Recipient) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := daemon.WriteFile(k.path(), []byte(recipientRemark+r.String()+"\n"), 0o600)
	if ballast.IsFull(err) {
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	if err != nil {
		return err
	}
	k.recipient, k.digest = r, nil
	return nil
}

// firstKey makes the recovery key of a cluster that has none, and returns it as text: nobody else will.
func (k *recoveryKeeper) firstKey() (string, error) {
	key, err := recovery.NewKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return key.Text(), k.keep(key.Recipient())
}

// Backup implements apiserver.Recovery.
func (k *recoveryKeeper) Backup() (apiserver.Backup, error) {
	to, err := k.begin()
	if err != nil {
		return nil, err
	}
	b, err := k.makeBackup(to)
	if err != nil {
		k.done()
		return nil, err
	}
	return b, nil
}

// begin takes the place of the one backup that may run, and says for whom it is sealed.
func (k *recoveryKeeper) begin() (recovery.Recipient, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.recipient.IsZero():
		return recovery.Recipient{}, apiserver.ErrNoRecoveryKey
	case k.running:
		return recovery.Recipient{}, apiserver.ErrBackupRuns
	}
	k.running = true
	return k.recipient, nil
}

func (k *recoveryKeeper) makeBackup(to recovery.Recipient) (*backup, error) {
	wrapped, err := k.wrappedKeys(to)
	if err != nil {
		return nil, err
	}
	c, err := k.store.Copy()
	if err != nil {
		return nil, err
	}
	return &backup{copied: c, to: to, wrapped: wrapped, done: k.done, info: recovery.Info{
		Cluster: k.cluster, Term: c.Epoch.Term, Start: c.Epoch.Start, Rev: uint64(c.Rev),
		Time: k.clock().Wall.UTC().Truncate(time.Second), Version: daemon.Version, Store: c.Size,
	}}, nil
}

func (k *recoveryKeeper) done() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = false
}

// backup is one that waits to be written out.
type backup struct {
	copied  *bolt.Copy
	to      recovery.Recipient
	wrapped []byte
	info    recovery.Info
	done    func()
}

// WriteTo implements io.WriterTo.
func (b *backup) WriteTo(w io.Writer) (n int64, err error) {
	counted := &counter{w: w}
	out, err := recovery.NewWriter(counted, b.to, b.info, b.wrapped, rand.Reader)
	if err != nil {
		return counted.n, err
	}
	if _, err := io.Copy(out, b.copied.File); err != nil {
		return counted.n, err
	}
	err = out.Close()
	return counted.n, err
}

// Close implements io.Closer.
func (b *backup) Close() error {
	b.done()
	return b.copied.Close()
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
