package logs

import (
	"bytes"
	"time"
)

// line is one line of a log file in CRI format: "TIME STREAM TAG text\n".
type line struct {
	time    []byte // as written, RFC 3339 with nanoseconds
	text    []byte // without the newline
	partial bool   // tag P: the next line of the file goes on
}

// parseLine takes a line of a file apart; ok is false for what is no CRI line, such as one that a power cut
// left half written.
func parseLine(raw []byte) (l line, ok bool) {
	raw, ended := bytes.CutSuffix(raw, []byte("\n"))
	var rest, tag []byte
	l.time, rest, ok = bytes.Cut(raw, []byte(" "))
	if !ok || !ended {
		return l, false
	}
	if _, rest, ok = bytes.Cut(rest, []byte(" ")); !ok {
		return l, false
	}
	if tag, l.text, ok = bytes.Cut(rest, []byte(" ")); !ok {
		return l, false
	}
	l.partial = string(tag) == "P"
	return l, l.partial || string(tag) == "F"
}

// at is when the line was written; the zero time when that can't be read.
func (l line) at() time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(l.time))
	if err != nil {
		return time.Time{}
	}
	return t
}
