package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
)

func newFile(t *testing.T, maxBytes, files string) *logFile {
	t.Helper()
	f, err := parse([]string{"dir", t.TempDir(), "name", "0.log", "bytes", maxBytes, "files", files})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func record(file *logFile, stdout, stderr string) {
	run(file, strings.NewReader(stdout), strings.NewReader(stderr), func() {})
}

// rows reads a log and cuts the times off.
func rows(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("%s ends in half a line", path)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		at, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil || len(at) != len("2006-01-02T15:04:05.000000000Z") {
			t.Errorf("%q does not begin with a time", line)
		}
		out = append(out, rest)
	}
	return out
}

func TestLinesBecomeCRILines(t *testing.T) {
	for name, c := range map[string]struct {
		stdout string
		want   []string
	}{
		"whole lines":               {"a\n\nb c\n", []string{"stdout F a", "stdout F ", "stdout F b c"}},
		"a last line without end":   {"a\nb", []string{"stdout F a", "stdout F b"}},
		"a carriage return is kept": {"a\r\n", []string{"stdout F a\r"}},
		"a long line is split": {strings.Repeat("x", maxLine+3) + "\ny\n",
			[]string{"stdout P " + strings.Repeat("x", maxLine), "stdout F xxx", "stdout F y"}},
		"a line as long as a piece": {strings.Repeat("x", maxLine) + "\ny\n",
			[]string{"stdout P " + strings.Repeat("x", maxLine), "stdout F ", "stdout F y"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t, "1000000", "2")
			record(f, c.stdout, "")
			if diff := cmp.Diff(c.want, rows(t, f.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// However the bytes arrive, the lines are the same.
func TestReadsMayBreakAnywhere(t *testing.T) {
	text := "first\nsecond line\n\n" + strings.Repeat("z", 20000) + "\nlast"
	whole := newFile(t, "1000000", "2")
	record(whole, text, "")
	want := rows(t, whole.path)
	for _, size := range []int{1, 2, 7, 4096, 16383} {
		f := newFile(t, "1000000", "2")
		run(f, &pieces{text, size}, strings.NewReader(""), func() {})
		if diff := cmp.Diff(want, rows(t, f.path)); diff != "" {
			t.Errorf("reads of %d bytes (-want +got):\n%s", size, diff)
		}
	}
}

type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

func TestStreamsAreKeptApart(t *testing.T) {
	f := newFile(t, "1000000", "2")
	record(f, "out 1\nout 2\n", "err 1\n")
	got := map[string]int{}
	for _, row := range rows(t, f.path) {
		got[row]++
	}
	want := map[string]int{"stdout F out 1": 1, "stdout F out 2": 1, "stderr F err 1": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Files are bounded in size and number, no line spans two, and what is left is the newest output in order.
func TestRotationKeepsTheNewest(t *testing.T) {
	for _, files := range []int{1, 2, 4} {
		f := newFile(t, "1", fmt.Sprint(files)) // below the least: minBytes
		var text strings.Builder
		const n = 20000
		for i := range n {
			fmt.Fprintf(&text, "line %06d\n", i)
		}
		record(f, text.String(), "")
		var all []string
		for i := files + 1; i >= 0; i-- {
			info, err := os.Stat(f.numbered(i))
			if i >= files {
				if err == nil {
					t.Errorf("%d files allowed, but %s is there", files, f.numbered(i))
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > minBytes {
				t.Errorf("%s has %d bytes", f.numbered(i), info.Size())
			}
			all = append(all, rows(t, f.numbered(i))...)
		}
		for i, row := range all {
			if want := fmt.Sprintf("stdout F line %06d", n-len(all)+i); row != want {
				t.Fatalf("%d files: row %d is %q; want %q", files, i, row, want)
			}
		}
		if len(all) < (files*minBytes-outBytes)/60 {
			t.Errorf("%d files hold %d lines only", files, len(all))
		}
	}
}

// A reader that follows the documented rule sees every line once, however often the file is rotated.
func TestAFollowerReadsThroughRotation(t *testing.T) {
	f := newFile(t, "1", "6")
	const n = 3000
	in, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		run(f, in, strings.NewReader(""), func() {})
		close(done)
	}()
	follow := follower{path: f.path, t: t}
	for i := range n {
		fmt.Fprintf(w, "line %06d\n", i)
		if i%150 == 0 {
			follow.read()
		}
	}
	w.Close()
	<-done
	for !follow.current() {
		follow.read()
	}
	follow.read()
	got := strings.Split(strings.TrimSuffix(follow.got.String(), "\n"), "\n")
	if len(got) != n {
		t.Fatalf("%d lines; want %d", len(got), n)
	}
	for i, line := range got {
		if want := fmt.Sprintf("stdout F line %06d", i); !strings.HasSuffix(line, want) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

// follower reads a log as doc.go says.
type follower struct {
	t    *testing.T
	path string
	f    *os.File
	got  bytes.Buffer
}

func (r *follower) current() bool {
	if r.f == nil {
		return false
	}
	mine, err1 := r.f.Stat()
	now, err2 := os.Stat(r.path)
	return err1 == nil && err2 == nil && os.SameFile(mine, now)
}

func (r *follower) read() {
	if r.f == nil {
		r.f, _ = os.Open(r.path)
		if r.f == nil {
			return
		}
	}
	moved := !r.current() // asked before reading to the end
	if _, err := io.Copy(&r.got, r.f); err != nil {
		r.t.Fatal(err)
	}
	if !moved {
		return
	}
	for {
		next, err := os.Open(r.next())
		if err != nil {
			continue // between two renames
		}
		opened, err1 := next.Stat()
		still, err2 := os.Stat(r.next())
		if err1 == nil && err2 == nil && os.SameFile(opened, still) {
			r.f.Close()
			r.f = next
			return
		}
		next.Close() // rotated meanwhile
	}
}

// next is the name of the file that comes after the open one.
func (r *follower) next() string {
	mine, err := r.f.Stat()
	if err != nil {
		r.t.Fatal(err)
	}
	next := r.path
	for i := 1; i < 10; i++ {
		name := fmt.Sprintf("%s.%d", r.path, i)
		if info, err := os.Stat(name); err == nil && os.SameFile(mine, info) {
			break
		} else if err == nil {
			next = name
		}
	}
	return next
}

// A disk that is full costs lines, says so later, and never leaves half a line.
func TestAFullDiskLosesLinesAndSaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &logFile{path: filepath.Join(dir, "0.log"), max: 1 << 20, files: 2}
	in, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		run(f, in, strings.NewReader(""), func() {})
		close(done)
	}()
	const n = 2000
	for i := range n {
		fmt.Fprintf(w, "line %06d\n", i)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "after")
	w.Close()
	<-done
	got := rows(t, f.path)
	notes, lost := 0, 0
	note := regexp.MustCompile(`^stderr F skerry-log: lost (\d+) lines \(\d+ bytes\): no space left on device$`)
	for _, row := range got {
		if m := note.FindStringSubmatch(row); m != nil {
			notes++
			fmt.Sscan(m[1], &lost)
		}
	}
	if notes != 1 || got[len(got)-1] != "stdout F after" {
		t.Errorf("%d notes; the last line is %q", notes, got[len(got)-1])
	}
	if lost == 0 || len(got)-2+lost != n {
		t.Errorf("%d lines kept and %d told lost; want %d in all", len(got)-2, lost, n)
	}
}

// Whoever else needs the disk still finds some room when the logs have taken all that they may.
func TestLogsAloneNeverFillTheDisk(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	f := &logFile{path: filepath.Join(dir, "0.log"), max: 10 << 20, files: 2}
	line := bytes.Repeat([]byte("x"), 1000)
	line[len(line)-1] = '\n'
	for range 2000 {
		f.write(line, 1, time.Unix(0, 0).UTC())
	}
	if f.lostRows == 0 {
		t.Fatal("nothing was lost")
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 60<<10), 0o600); err != nil {
		t.Errorf("there is no room for others: %v", err)
	}
}

// A container's own older files make room for its newer ones.
func TestRotationGoesOnOnADiskThatIsNearlyFull(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	f := &logFile{path: filepath.Join(dir, "0.log"), max: 300 << 10, files: 3}
	line := bytes.Repeat([]byte("x"), 1000)
	line[len(line)-1] = '\n'
	for range 5000 {
		f.write(line, 1, time.Unix(0, 0).UTC())
	}
	if f.lostRows != 0 {
		t.Errorf("%d lines are lost: %v", f.lostRows, f.why)
	}
}

// What was lost until the end is told at the end, if it can be.
func TestLossesAreToldAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	f := &logFile{path: filepath.Join(dir, "gone", "0.log"), max: minBytes, files: 2}
	f.write([]byte("x\n"), 1, time.Unix(0, 0).UTC())
	if err := os.Mkdir(filepath.Join(dir, "gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	(&output{file: f}).finish()
	want := []string{"stderr F skerry-log: lost 1 lines (2 bytes): no such file or directory"}
	if diff := cmp.Diff(want, rows(t, f.path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	for _, args := range [][]string{
		nil, {"dir"}, {"dir", "/x"}, {"dir", "/x", "name", "a/b"}, {"dir", "/x", "name", "n", "bytes", "many"},
		{"dir", "/x", "name", "n", "colour", "red"},
	} {
		if f, err := parse(args); err == nil {
			t.Errorf("parse(%q) = %+v; want an error", args, f)
		}
	}
}
