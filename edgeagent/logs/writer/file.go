package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Logs are not written below a floor of free space, which is smaller on a small disk.
const (
	maxFloor   = 16 << 20
	floorShare = 16
	lookEvery  = 64 << 10 // how much each container writes between two looks
)

// logFile is the file being written and its predecessors.
type logFile struct {
	path  string
	max   int64 // bytes of one file
	files int   // kept, this one included

	f    *os.File // nil: not open
	size int64
	room int64 // bytes that may be written before the disk is looked at again

	lostRows, lostBytes int
	why                 error // of the last loss
}

// open opens the file to append to; it may be there already.
func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

// write appends whole lines, after what is to be said about lost ones. What can't be written is counted.
func (l *logFile) write(lines []byte, rows int, now time.Time) {
	if l.lostRows > 0 {
		if err := l.put(l.note(now)); err != nil {
			l.lose(lines, rows, err)
			return
		}
		l.lostRows, l.lostBytes = 0, 0
	}
	if len(lines) == 0 {
		return
	}
	if err := l.put(lines); err != nil {
		l.lose(lines, rows, err)
	}
}

func (l *logFile) lose(lines []byte, rows int, err error) {
	l.lostRows += rows
	l.lostBytes += len(lines)
	l.why = err
}

// note is the line that tells about losses.
func (l *logFile) note(now time.Time) []byte {
	why := l.why.Error()
	var number syscall.Errno
	if errors.As(l.why, &number) {
		why = number.Error()
	}
	b := appendLine(nil, now, "stderr", 'F')
	b = strconv.AppendInt(append(b, "skerry-log: lost "...), int64(l.lostRows), 10)
	b = strconv.AppendInt(append(b, " lines ("...), int64(l.lostBytes), 10)
	return append(b, " bytes): "+why+"\n"...)
}

// put appends all or nothing.
func (l *logFile) put(b []byte) error {
	if l.f == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(b)) > l.max {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if err := l.makeSure(int64(len(b))); err != nil {
		return err
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	l.room -= int64(n)
	if err != nil && n > 0 {
		// Take back the part that still fitted. The size is asked for: someone may have truncated the file.
		if info, statErr := l.f.Stat(); statErr == nil && info.Size() >= int64(n) && l.f.Truncate(info.Size()-int64(n)) == nil {
			l.size -= int64(n)
		}
	}
	return err
}

// makeSure says that the disk is full while there is still a little room: logs alone never take what the rest of
// the machine needs to go on, and to have something deleted.
func (l *logFile) makeSure(n int64) error {
	if n <= l.room {
		return nil
	}
	l.room = 0
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(l.f.Fd()), &fs); err != nil {
		return nil // the write itself will tell
	}
	unit := int64(fs.Frsize)
	above := int64(fs.Bavail)*unit - min(maxFloor, int64(fs.Blocks)*unit/floorShare)
	if above < n {
		return syscall.ENOSPC
	}
	l.room = max(n, min(lookEvery, above/2))
	return nil
}

// rotate moves every file one number up and begins a new one.
func (l *logFile) rotate() error {
	if l.files == 1 {
		if err := os.Remove(l.path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	for i := l.files - 1; i > 0; i-- {
		if err := os.Rename(l.numbered(i-1), l.numbered(i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	l.f.Close()
	l.f = nil
	return l.open()
}

// numbered is the name of the file that was rotated i times.
func (l *logFile) numbered(i int) string {
	if i == 0 {
		return l.path
	}
	return l.path + "." + strconv.Itoa(i)
}
