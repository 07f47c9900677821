package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// pollInterval is how often a reader that follows looks for new lines, and settle how long a log has to stay
// as it is after its container ended before it counts as complete: skerry-log writes the last lines when the
// container is gone already.
const (
	pollInterval = 200 * time.Millisecond
	settle       = time.Second
)

// Place says where the log of one run of a container is.
type Place struct {
	Path string // of the current file; older ones are Path.1, Path.2, …
	// Running reports whether the container may still write.
	Running func() bool
}

// reader sends the lines of one log.
type reader struct {
	place   Place
	options stream.LogOptions
	since   time.Time
	left    int64 // bytes that may still be sent; negative: no limit
	send    func([]byte) error

	file     *os.File
	buffer   *bufio.Reader
	pending  []byte // a line whose end has not been written yet
	midLine  bool   // the last line sent was a piece, so the next one has no time stamp
	skipping bool   // the last piece was older than since, so is the rest of its line
}

// errLimit ends a reader that has sent as much as was wanted.
var errLimit = errors.New("the limit is reached")

// read sends all that was asked for; it returns nil when that is done.
func read(ctx context.Context, place Place, options stream.LogOptions, now time.Time, send func([]byte) error) error {
	r := &reader{place: place, options: options, left: -1, send: send}
	if options.LimitBytes > 0 {
		r.left = options.LimitBytes
	}
	switch {
	case options.SinceTime != 0:
		r.since = time.Unix(0, options.SinceTime)
	case options.SinceSeconds > 0:
		r.since = now.Add(-time.Duration(options.SinceSeconds) * time.Second)
	}
	if err := r.openFirst(); err != nil {
		return err
	}
	defer func() {
		if r.file != nil {
			r.file.Close()
		}
	}()
	err := r.run(ctx)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

func (r *reader) run(ctx context.Context) error {
	var quiet time.Duration // since the container ended and nothing came any more
	for {
		running := r.options.Follow && r.place.Running()
		progress, err := r.drain()
		if err != nil {
			return err
		}
		switch {
		case !r.options.Follow:
			return nil
		case running || progress:
			quiet = 0
		case quiet >= settle:
			return nil
		default:
			quiet += pollInterval
		}
		timer := time.NewTimer(pollInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// drain sends everything that is in the files now.
func (r *reader) drain() (progress bool, err error) {
	for {
		if r.file == nil {
			if err := r.open(r.place.Path, 0); err != nil || r.file == nil {
				return progress, err
			}
		}
		sent, err := r.drainFile()
		progress = progress || sent
		if err != nil {
			return progress, err
		}
		more, err := r.nextFile()
		if err != nil || !more {
			return progress, err
		}
	}
}

func (r *reader) drainFile() (progress bool, err error) {
	for {
		raw, err := r.buffer.ReadSlice('\n')
		switch {
		case err == nil && len(r.pending) == 0:
		case err == nil, errors.Is(err, bufio.ErrBufferFull), errors.Is(err, io.EOF):
			r.pending = append(r.pending, raw...)
			if len(r.pending) > blockSize {
				r.pending = r.pending[:0] // no line of skerry-log
			}
			if errors.Is(err, io.EOF) {
				return progress, nil
			}
			if err != nil {
				continue
			}
			raw = r.pending
		default:
			return progress, fmt.Errorf("read log: %w", err)
		}
		progress = true
		err = r.sendLine(raw)
		r.pending = r.pending[:0]
		if err != nil {
			return progress, err
		}
	}
}

func (r *reader) sendLine(raw []byte) error {
	l, ok := parseLine(raw)
	if !ok {
		return nil
	}
	first := !r.midLine
	r.midLine = l.partial
	if first {
		r.skipping = !r.since.IsZero() && l.at().Before(r.since)
	}
	if r.skipping {
		return nil
	}
	out := make([]byte, 0, len(raw)+1)
	if first && r.options.Timestamps {
		out = append(append(out, l.time...), ' ')
	}
	out = append(out, l.text...)
	if !l.partial {
		out = append(out, '\n')
	}
	if r.left >= 0 && int64(len(out)) >= r.left {
		out = out[:r.left]
		if err := r.send(out); err != nil {
			return err
		}
		return errLimit
	}
	if r.left >= 0 {
		r.left -= int64(len(out))
	}
	return r.send(out)
}

// openFirst opens the file that the first wanted line is in, at that line.
func (r *reader) openFirst() error {
	paths, err := files(r.place.Path)
	if err != nil || len(paths) == 0 {
		return err
	}
	if r.options.Tail == nil {
		return r.open(paths[0], 0)
	}
	wanted := *r.options.Tail
	for i := len(paths) - 1; ; i-- {
		offset, found, err := tailOf(paths[i], wanted)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if wanted -= found; wanted <= 0 || i == 0 {
			return r.open(paths[i], offset)
		}
	}
}

func tailOf(path string, n int64) (offset, found int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("open log: %w", err)
	}
	return tailStart(file, info.Size(), n)
}

// open goes on with another file. One that isn't there leaves the reader without.
func (r *reader) open(path string, offset int64) error {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		file.Close()
		return fmt.Errorf("open log: %w", err)
	}
	r.file = file
	if r.buffer == nil {
		r.buffer = bufio.NewReaderSize(file, 32<<10)
	} else {
		r.buffer.Reset(file)
	}
	r.pending = r.pending[:0]
	return nil
}

// nextFile goes on with the file after the open one, when the log has been rotated; more is false when the
// open one is the newest.
func (r *reader) nextFile() (more bool, err error) {
	mine, err := r.file.Stat()
	if err != nil {
		return false, fmt.Errorf("follow log: %w", err)
	}
	path, err := r.successor(mine)
	if err != nil || path == "" {
		return false, err
	}
	// What was written between the last read and the rotation is still to be had from the open file.
	if _, err := r.drainFile(); err != nil {
		return false, err
	}
	// A rotation between looking and opening makes the path another file: look again until it is the same.
	for range 10 {
		if err := r.open(path, 0); err != nil {
			return false, err
		}
		if path, err = r.successor(mine); err != nil {
			return false, err
		}
		if r.file == nil {
			continue // in the middle of a rotation
		}
		opened, err := r.file.Stat()
		if err != nil {
			return false, fmt.Errorf("follow log: %w", err)
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(now, opened) {
			return true, nil
		}
	}
	return false, errors.New("the log is rotated faster than it can be read")
}

// successor is the path of the file after the one given; the oldest when that is gone, empty when it is the
// newest.
func (r *reader) successor(mine os.FileInfo) (string, error) {
	paths, err := files(r.place.Path)
	if err != nil {
		return "", err
	}
	next := 0
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil && os.SameFile(info, mine) {
			next = i + 1
		}
	}
	if next >= len(paths) {
		return "", nil
	}
	return paths[next], nil
}
