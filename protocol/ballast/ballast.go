package ballast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// FileName is what the ballast is called in its directory.
const FileName = "reserved-space"

const (
	share = 16 // the ballast is at most the sixteenth part of its file system
	block = 4096
)

// Config of a Ballast.
type Config struct {
	Dir   string // where it lies; it must be there
	Bytes int64  // how large it is, on a file system that is large enough
}

// Ballast is the file. All methods may be called from several goroutines.
type Ballast struct {
	config Config
	used   chan struct{} // has an element when Run may have something to do

	mu    sync.Mutex
	there bool      // the file is
	low   bool      // there was no room for it
	bytes int64     // how large it is on this file system
	again time.Time // when to try next to write it, after that has failed; zero: at once
}

// New takes the ballast that is there, or makes it if there is room. An error is one of the disk, other than that it
// is full; the ballast works without its file, as one that was used.
func New(config Config) (*Ballast, error) {
	b := &Ballast{config: config, used: make(chan struct{}, 1)}
	_, err := b.Refill()
	return b, err
}

func (b *Ballast) path() string { return filepath.Join(b.config.Dir, FileName) }

// Low reports whether the disk has no room to reserve: from when the ballast was used, or could not be made, until
// Refill has found room for it.
func (b *Ballast) Low() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.low
}

// Bytes is how large the ballast is, or shall be, on this file system.
func (b *Ballast) Bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// Save does a write. If the disk is full it makes room and does the write once more; used says so. Other errors,
// and those of the second try, are the write's own.
func (b *Ballast) Save(write func() error) (used bool, err error) {
	if err = write(); err == nil || !IsFull(err) || !b.Use() {
		return false, err
	}
	return true, write()
}

// Use gives the reserved room free, for good: whoever needs it writes next. It is false if there was none.
func (b *Ballast) Use() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.there || os.Remove(b.path()) != nil {
		return false
	}
	b.there, b.low = false, true
	// A file system with a journal gives blocks back when it has written down that they are free. If it can't, the
	// write that follows says so.
	_ = syncDir(b.config.Dir)
	b.wake()
	return true
}

// Refill makes the ballast if it is missing and as much room would be left; low says that it would not. While that
// is so a call costs next to nothing.
func (b *Ballast) Refill() (low bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.there {
		return false, nil
	}
	b.there, b.low, err = b.place()
	if !b.there {
		b.wake()
	}
	return b.low, err
}

func (b *Ballast) wake() {
	select {
	case b.used <- struct{}{}:
	default:
	}
}

// Run makes the ballast anew after it was used, as soon as there is room: it looks every so often, and only while
// the ballast is missing. What comes in its way otherwise is told to failed. It ends with ctx.
func (b *Ballast) Run(ctx context.Context, every time.Duration, failed func(error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.used:
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if _, err := b.Refill(); err != nil {
			failed(err)
		}
	}
}

func (b *Ballast) place() (there, low bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reserve room on the disk: %w", err)
		}
	}()
	total, free, err := room(b.config.Dir)
	if err != nil {
		return false, false, err
	}
	b.bytes = min(b.config.Bytes, total/share) / block * block
	switch info, err := os.Lstat(b.path()); {
	case err == nil && info.Mode().IsRegular() && info.Size() >= b.bytes:
		return true, false, nil
	case err == nil: // of a start that was killed here
		if err := os.Remove(b.path()); err != nil {
			return false, false, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, false, err
	}
	if free < 2*b.bytes || time.Now().Before(b.again) {
		return false, true, nil
	}
	err = write(b.path(), b.bytes)
	if IsFull(err) { // of a quota, say, that the file system does not show
		b.again = time.Now().Add(time.Minute)
		return false, true, nil
	}
	return err == nil, false, err
}

// write makes a file of real blocks, or none.
func write(path string, bytes int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(file, rand.NewChaCha8([32]byte{}), bytes) // nothing compresses it
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// Allocate gives a file its first bytes of blocks, under which its content stays as it is; on a file system without
// plenty of room it does nothing. An error says why it can't be done there.
func Allocate(path string, bytes int64) error {
	total, free, err := room(filepath.Dir(path))
	if err != nil || free < 2*bytes || bytes > total/share {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("fallocate", syscall.Fallocate(int(file.Fd()), 0, 0, bytes)), file.Close())
}

// Free is how many bytes the file system of a directory has left for everybody.
func Free(dir string) (int64, error) {
	_, free, err := room(dir)
	return free, err
}

// room is how large the file system of a directory is, and how much of it is free for everybody, in bytes.
func room(dir string) (total, free int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(s.Frsize)
	return int64(s.Blocks) * unit, int64(s.Bavail) * unit, nil
}

// IsFull reports whether an error says that there is no room on the disk, or in the user's quota. bbolt hides it
// behind its text at times.
func IsFull(err error) bool {
	if err == nil {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EDQUOT.Error())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
