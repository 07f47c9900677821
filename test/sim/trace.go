package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/rs/zerolog"
)

// trace is what has happened, one line each.
type trace struct{ lines []byte }

// log adds a line: when, who, what.
func (w *World) log(who, format string, args ...any) {
	w.trace.lines = fmt.Appendf(w.trace.lines, "%10.3f  %-7s ", w.now.Seconds(), who)
	w.trace.lines = fmt.Appendf(w.trace.lines, format, args...)
	w.trace.lines = append(w.trace.lines, '\n')
}

// logger writes what a loop says into the trace. It says at most what has changed, and never when by a real clock.
func (w *World) logger(who string) zerolog.Logger {
	return zerolog.New(voice{w, who}).Level(zerolog.InfoLevel)
}

// voice is the log of one process.
type voice struct {
	w   *World
	who string
}

// Write is io.Writer; each call is one line.
func (v voice) Write(line []byte) (int, error) {
	v.w.log(v.who, "says %s", bytes.TrimSpace(line))
	return len(line), nil
}

// Hash is that of the trace so far.
func (w *World) Hash() string {
	sum := sha256.Sum256(w.trace.lines)
	return hex.EncodeToString(sum[:8])
}

// names are those of nodes and of pods, with uids, as the trace has them.
var names = regexp.MustCompile(`\bn\d+(\.\d+)*\b|\b(pod|one|own|sel)-\d+\b|\b(web|fleet|only|some)-\d+(-[a-z0-9]+(-[a-z0-9]+)?)?\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)

// Story is the end of the trace as far as it is about what the failure names, in words that a person can follow: the
// node and the pods concerned, and every fault of the world as a whole. Packets are left out, but those of the node in
// the last seconds.
func (w *World) Story(most int) string {
	about := map[string]bool{"master": true, "world": true, "broker": true, "network": true, "BROKEN": true}
	if w.failure != nil {
		for _, name := range names.FindAllString(w.failure.Error(), -1) {
			about[name] = true
		}
	}
	for uid, name := range w.uids() { // a container is named after its pod's uid, and a pod by its name
		if about[uid] || about[name] {
			about[uid], about[name] = true, true
		}
	}
	lines := bytes.Split(bytes.TrimSpace(w.trace.lines), []byte("\n"))
	var kept []string
	for i := len(lines) - 1; i >= 0 && len(kept) < most; i-- {
		line := string(lines[i])
		if strings.Contains(line, "/hb ") || strings.Contains(line, "/m/probe/") {
			continue
		}
		if w.concerns(about, line, len(lines)-i < 40) {
			kept = append(kept, line)
		}
	}
	slices.Reverse(kept)
	return "about: " + strings.Join(slices.Sorted(maps.Keys(about)), " ") + "\n" + strings.Join(kept, "\n")
}

// concerns reports whether a line belongs to the story of what it is about.
func (w *World) concerns(about map[string]bool, line string, late bool) bool {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return false
	}
	who, verb := strings.TrimSuffix(fields[1], "'"), fields[2]
	packet := verb == "from" || verb == "to"
	switch {
	case packet && !late:
		return false
	case packet, who == "store", who == "user":
		for _, name := range names.FindAllString(line, -1) {
			if about[name] && (who == "store" || name != "") {
				return true
			}
		}
		return false
	case about[who]:
		return true
	}
	for _, name := range names.FindAllString(line, -1) {
		if about[name] {
			return true
		}
	}
	return false
}

// uids are the names of all pods that the trace has seen started, by uid.
func (w *World) uids() map[string]string {
	out := map[string]string{}
	for line := range bytes.Lines(w.trace.lines) {
		fields := bytes.Fields(line)
		if len(fields) == 8 && string(fields[2]) == "starts" {
			name, _, _ := strings.Cut(string(fields[3]), "/")
			out[string(fields[7])] = name
		}
	}
	for _, p := range w.facts.pods {
		out[p.uid] = p.name
	}
	return out
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
