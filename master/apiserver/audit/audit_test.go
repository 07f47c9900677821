package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// book is a log in a directory, with virtual time.
type book struct {
	t        *testing.T
	log      *Log
	path     string
	now      clock.Now
	said     bytes.Buffer
	registry *prometheus.Registry
}

func open(t *testing.T, edit ...func(*Config)) *book {
	t.Helper()
	b := &book{t: t, path: filepath.Join(t.TempDir(), "audit.log"), registry: prometheus.NewRegistry()}
	c := Config{Path: b.path, Clock: func() clock.Now { return b.now }, Log: zerolog.New(&b.said), Metrics: b.registry}
	for _, e := range edit {
		e(&c)
	}
	b.path = c.Path
	var err error
	if b.log, err = New(c); err != nil {
		t.Fatal(err)
	}
	return b
}

// write runs the log until all of this is written.
func (b *book) write(entries ...Entry) {
	b.t.Helper()
	for _, e := range entries {
		b.log.Record(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.log.Run(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// lines are those of a file.
func (b *book) lines(path string) []Entry {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []Entry
	for line := range strings.Lines(string(data)) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			b.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func (b *book) metric(name string) float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name {
				total += m.Counter.GetValue()
			}
		}
	}
	return total
}

// A line says who did what; texts of any length and content stay one line of JSON.
func TestALine(t *testing.T) {
	t.Parallel()
	b := open(t)
	e := Entry{
		Time: time.Date(2030, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600)), ID: "1", User: "alice", Groups: []string{"dev"}, Source: "192.0.2.7",
		Verb: "delete", Resource: "pods", Namespace: "default", Name: "p", Code: 200,
	}
	b.write(e, Entry{User: "a\n{\"user\":\"root\"}", Path: "/" + strings.Repeat("ö", 99_999), Groups: strings.Split(strings.Repeat("g,", 999), ",")})
	data, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2030-01-02T02:04:05.678Z","id":"1","user":"alice","groups":["dev"],"source":"192.0.2.7","verb":"delete","resource":"pods","namespace":"default","name":"p","code":200}` + "\n"
	if first, _, _ := strings.Cut(string(data), "\n"); first+"\n" != want {
		t.Errorf("it is %s", first)
	}
	lines := b.lines(b.path)
	if len(lines) != 2 || len(data) > 2000 || len(lines[1].Groups) != maxTexts || !strings.HasSuffix(lines[1].Path, "ö…") {
		t.Errorf("%d lines of %d bytes: %s", len(lines), len(data), data)
	}
	if info, err := os.Stat(b.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// What a program asks for every second is a line in ten minutes, with the number of repetitions; what changes something
// is always a line; a flood of different ones is bounded.
func TestRepetitions(t *testing.T) {
	t.Parallel()
	b := open(t)
	denied := Entry{User: "bob", Verb: "list", Resource: "secrets", Code: 403, Often: true}
	for range 1500 {
		b.write(denied, Entry{User: "bob", Verb: "list", Resource: "secrets", Code: 200, Namespace: "other", Often: true})
		b.now = b.now.Add(time.Second)
	}
	b.write(Entry{Verb: "delete", Code: 200}, Entry{Verb: "delete", Code: 200})
	lines := b.lines(b.path)
	if len(lines) != 8 || lines[2].Repeated != 599 || lines[4].Repeated != 599 || lines[7].Verb != "delete" {
		t.Errorf("%d lines: %+v", len(lines), lines)
	}
	before := len(lines)
	for i := range 5000 {
		b.write(Entry{Source: fmt.Sprint(i), Verb: "get", Code: 401, Often: true})
	}
	if n := len(b.lines(b.path)) - before; n > maxRepeats || len(b.log.repeats.seen) > maxRepeats {
		t.Errorf("a flood wrote %d lines and left %d keys", n, len(b.log.repeats.seen))
	}
	b.now = b.now.Add(time.Hour)
	b.write(Entry{Source: "late", Code: 401, Often: true})
	if lines := b.lines(b.path); lines[len(lines)-1].Source != "late" {
		t.Error("after the flood nothing is written any more")
	}
}

// The files are bounded in size and number, lose no line between them, and go on after a restart.
func TestRotation(t *testing.T) {
	t.Parallel()
	small := func(c *Config) { c.MaxBytes, c.Keep = 2000, 2 }
	b := open(t, small)
	for i := range 100 {
		if i == 50 {
			again := open(t, small, func(c *Config) { c.Path = b.path })
			b.log = again.log
		}
		b.write(Entry{ID: fmt.Sprint(i), Verb: "delete"})
	}
	var ids []string
	for _, path := range []string{b.path + ".2", b.path + ".1", b.path} {
		info, err := os.Stat(path)
		if err != nil || info.Size() > 2000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
		for _, e := range b.lines(path) {
			ids = append(ids, e.ID)
		}
	}
	for i, id := range ids {
		if want := fmt.Sprint(100 - len(ids) + i); id != want {
			t.Fatalf("line %d is of %s, not of %s", i, id, want)
		}
	}
	if _, err := os.Stat(b.path + ".3"); len(ids) < 50 || err == nil {
		t.Errorf("%d lines are kept, and a file too many: %v", len(ids), err)
	}
}

// What a power cut has cut off does not spoil the next line; a file that was taken away is made anew; its mode is put
// right; what is no file is refused.
func TestTheFileAsItIsFound(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := os.WriteFile(b.path, []byte(`{"id":"1"}`+"\n"+`{"id":"2`), 0o644); err != nil {
		t.Fatal(err)
	}
	b = open(t, func(c *Config) { c.Path = b.path })
	b.write(Entry{ID: "3"})
	data, err := os.ReadFile(b.path)
	if err != nil || !strings.HasPrefix(string(data), `{"id":"1"}`+"\n"+`{"id":"2`+"\n{") {
		t.Errorf("it is %q, %v", data, err)
	}
	if info, err := os.Stat(b.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	b = open(t)
	if err := os.Rename(b.path, b.path+".taken"); err != nil {
		t.Fatal(err)
	}
	b.write(Entry{ID: "4"})
	if lines := b.lines(b.path); len(lines) != 1 || lines[0].ID != "4" {
		t.Errorf("the new file has %v", lines)
	}
	for name, make := range map[string]func(string) error{
		"a link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Path: filepath.Join(t.TempDir(), "none", "audit.log")}); err == nil {
		t.Error("a directory that is not there was accepted")
	}
}

// A disk that takes nothing costs lines, which are counted and told of once; then it goes on.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.log.file.close(); err != nil {
		t.Fatal(err)
	}
	b.log.file.path = "/dev/full" // no regular file: every write fails
	for range 5 {
		b.write(Entry{Verb: "delete"}, Entry{Verb: "delete"})
	}
	if lost, said := b.metric("skerry_audit_lost_total"), strings.Count(b.said.String(), "can't be written"); lost != 10 || said != 1 {
		t.Errorf("%v lines are lost, and that was said %d times: %s", lost, said, &b.said)
	}
	b.log.file.path = b.path
	b.write(Entry{ID: "back"})
	if lines := b.lines(b.path); len(lines) != 1 || lines[0].ID != "back" || !strings.Contains(b.said.String(), "written again") {
		t.Errorf("afterwards it has %v, and says %s", lines, &b.said)
	}
}

// Who records never waits: a queue that nobody empties loses lines and counts them. Without a log nothing happens.
func TestRecordNeverBlocks(t *testing.T) {
	t.Parallel()
	b := open(t)
	for range maxQueue + 7 {
		b.log.Record(Entry{Verb: "delete"})
	}
	if lost := b.metric("skerry_audit_lost_total"); lost != 7 {
		t.Errorf("%v lines are lost", lost)
	}
	b.write()
	if n := len(b.lines(b.path)); n != maxQueue || b.metric("skerry_audit_lines_total") != maxQueue {
		t.Errorf("%d lines were written", n)
	}
	var none *Log
	none.Record(Entry{})
}
