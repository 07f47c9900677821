package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// maxLine is the longest text of one line in the file; what is longer is split.
	maxLine = 16 << 10
	// header is more than what stands before the text.
	header = 64
	// outBytes is how much is written at once.
	outBytes = maxLine + header + 4<<10
	// minBytes is the smallest size of a file: what is written at once has to fit.
	minBytes = 32 << 10
	// stamp is RFC 3339 with all nine digits, so that lines sort as text.
	stamp = "2006-01-02T15:04:05.000000000Z07:00"
)

// stream is one of the container's two; it holds the line that has not ended yet.
type stream struct {
	name string
	buf  [maxLine]byte
}

// copy reads until the end and hands on whole lines, or pieces of those that are too long.
func (s *stream) copy(in io.Reader, out *output) {
	held := 0
	for {
		n, err := in.Read(s.buf[held:])
		if n > 0 {
			held = s.split(held, held+n, out)
		}
		if err != nil {
			break
		}
	}
	if held > 0 {
		out.begin()
		out.line(s.name, 'F', s.buf[:held])
		out.end()
	}
}

// split emits the lines in buf[:end], of which buf[:seen] has no line end, and returns how much of the last
// one is held back.
func (s *stream) split(seen, end int, out *output) int {
	out.begin()
	defer out.end()
	start := 0
	for {
		i := bytes.IndexByte(s.buf[seen:end], '\n')
		if i < 0 {
			break
		}
		out.line(s.name, 'F', s.buf[start:seen+i])
		start = seen + i + 1
		seen = start
	}
	held := copy(s.buf[:], s.buf[start:end])
	if held == len(s.buf) {
		out.line(s.name, 'P', s.buf[:])
		held = 0
	}
	return held
}

// output collects lines of both streams and writes them together.
type output struct {
	mu   sync.Mutex
	file *logFile
	now  time.Time
	buf  [outBytes]byte
	n    int
	rows int // in buf
}

// begin takes the output for the lines of one read; they share one time.
func (o *output) begin() {
	o.mu.Lock()
	o.now = time.Now().UTC()
}

// line adds one line.
func (o *output) line(stream string, tag byte, text []byte) {
	if o.n+header+len(text) > len(o.buf) {
		o.flush()
	}
	b := appendLine(o.buf[:o.n], o.now, stream, tag)
	b = append(b, text...)
	b = append(b, '\n')
	o.n = len(b)
	o.rows++
}

// end writes what was collected.
func (o *output) end() {
	o.flush()
	o.mu.Unlock()
}

func (o *output) flush() {
	if o.n > 0 {
		o.file.write(o.buf[:o.n], o.rows, o.now)
		o.n, o.rows = 0, 0
	}
}

// finish is the last chance to tell about losses.
func (o *output) finish() { o.file.write(nil, 0, time.Now().UTC()) }

// appendLine appends what stands before the text.
func appendLine(b []byte, now time.Time, stream string, tag byte) []byte {
	b = now.AppendFormat(b, stamp)
	b = append(b, ' ')
	b = append(b, stream...)
	return append(b, ' ', tag, ' ')
}
