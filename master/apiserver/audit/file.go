package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// file is a log file that is moved aside when it is large. It belongs to one goroutine.
type file struct {
	path string
	max  int64 // bytes
	keep int   // older files

	open *os.File // nil: not yet
	size int64
}

// write appends whole lines, or nothing.
func (f *file) write(lines []byte) error {
	if err := f.ready(int64(len(lines))); err != nil {
		return err
	}
	n, err := f.open.Write(lines)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, f.open.Truncate(f.size))
		}
		return err
	}
	f.size += int64(n)
	return nil
}

// ready has the file open, with room for more.
func (f *file) ready(more int64) error {
	if f.open != nil && f.moved() {
		f.close()
	}
	if f.open == nil {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.size == 0 || f.size+more <= f.max {
		return nil
	}
	if err := errors.Join(f.open.Sync(), f.close()); err != nil {
		return err
	}
	for i := f.keep; i > 0; i-- {
		from := f.path
		if i > 1 {
			from = f.old(i - 1)
		}
		if err := os.Rename(from, f.old(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return f.reopen()
}

func (f *file) old(i int) string { return fmt.Sprintf("%s.%d", f.path, i) }

// moved reports whether somebody, such as logrotate, has taken the file away.
func (f *file) moved() bool {
	at, err := os.Lstat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	here, err := f.open.Stat()
	return err == nil && !os.SameFile(at, here)
}

func (f *file) reopen() error {
	open, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := open.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", f.path)
	}
	if err == nil && info.Mode().Perm() != 0o600 {
		err = open.Chmod(0o600)
	}
	if err == nil {
		f.size, err = endLine(open, info.Size())
	}
	if err != nil {
		return errors.Join(err, open.Close())
	}
	f.open = open
	return nil
}

// endLine ends a line that a power cut has cut off.
func endLine(open *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	last := make([]byte, 1)
	if _, err := open.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return size, err
	}
	n, err := open.Write([]byte{'\n'})
	return size + int64(n), err
}

func (f *file) close() error {
	if f.open == nil {
		return nil
	}
	err := f.open.Close()
	f.open = nil
	return err
}
