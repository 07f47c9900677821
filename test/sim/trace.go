package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
)

// trace is what has happened, one line each.
type trace struct{ lines []byte }

// log adds a line: when, who, what.
func (w *World) log(who, format string, args ...any) {
	w.trace.lines = fmt.Appendf(w.trace.lines, "%10.3f  %-7s ", w.now.Seconds(), who)
	w.trace.lines = fmt.Appendf(w.trace.lines, format, args...)
	w.trace.lines = append(w.trace.lines, '\n')
}

// Hash is that of the trace so far.
func (w *World) Hash() string {
	sum := sha256.Sum256(w.trace.lines)
	return hex.EncodeToString(sum[:8])
}

// Tail is the last lines of the trace, without heartbeats and probes.
func (w *World) Tail(lines int) string {
	all := bytes.Split(bytes.TrimSpace(w.trace.lines), []byte("\n"))
	var kept [][]byte
	for i := len(all) - 1; i >= 0 && len(kept) < lines; i-- {
		if !bytes.Contains(all[i], []byte("/hb ")) && !bytes.Contains(all[i], []byte("/m/probe/")) {
			kept = append(kept, all[i])
		}
	}
	slices.Reverse(kept)
	return string(bytes.Join(kept, []byte("\n")))
}

// mark is a short digest of bytes, so that a trace tells when they differ.
func mark(data []byte) string {
	h := fnv.New32a()
	h.Write(data)
	return fmt.Sprintf("%08x", h.Sum32())
}
