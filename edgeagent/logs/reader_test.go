package logs

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// stamp is the time of the n-th line of a test.
func stamp(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).Add(time.Duration(n) * time.Second)
}

// cri is a line of a log file.
func cri(n int, tag, text string) string {
	return stamp(n).Format(time.RFC3339Nano) + " stdout " + tag + " " + text + "\n"
}

// write makes the files of a log: the last one is the current file.
func write(t *testing.T, contents ...string) Place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.log")
	for i, content := range contents {
		name := path
		if older := len(contents) - 1 - i; older > 0 {
			name = fmt.Sprintf("%s.%d", path, older)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Place{Path: path, Running: func() bool { return false }}
}

func collect(t *testing.T, place Place, options stream.LogOptions) string {
	t.Helper()
	var got strings.Builder
	err := read(context.Background(), place, options, stamp(100), func(data []byte) error {
		got.Write(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.String()
}

func lines(n int64) *int64 { return &n }

// What each option of kubectl logs selects, over files that were rotated and lines that were split.
func TestOptions(t *testing.T) {
	place := write(t,
		cri(1, "F", "one")+cri(2, "F", "two"),
		cri(3, "P", "thr")+cri(3, "P", "e")+cri(3, "F", "e")+cri(4, "F", "four"),
		"half a li\n"+cri(5, "F", "five")+cri(6, "F", "six")+"2026-01-02T03:04:12Z stdout F unfinis",
	)
	for _, c := range []struct {
		name    string
		options stream.LogOptions
		want    string
	}{
		{"everything", stream.LogOptions{}, "one\ntwo\nthree\nfour\nfive\nsix\n"},
		{"tail of nothing", stream.LogOptions{Tail: lines(0)}, ""},
		{"tail in the current file", stream.LogOptions{Tail: lines(1)}, "six\n"},
		{"tail that is the current file", stream.LogOptions{Tail: lines(2)}, "five\nsix\n"},
		{"tail that reaches back", stream.LogOptions{Tail: lines(3)}, "four\nfive\nsix\n"},
		{"tail that ends with a split line", stream.LogOptions{Tail: lines(4)}, "three\nfour\nfive\nsix\n"},
		{"tail longer than the log", stream.LogOptions{Tail: lines(99)}, "one\ntwo\nthree\nfour\nfive\nsix\n"},
		{"since a time", stream.LogOptions{SinceTime: stamp(3).UnixNano()}, "three\nfour\nfive\nsix\n"},
		{"since seconds ago", stream.LogOptions{SinceSeconds: 95}, "five\nsix\n"},
		{"time stamps, once a line", stream.LogOptions{Tail: lines(4), Timestamps: true, LimitBytes: 48},
			"2026-01-02T03:04:08.000000006Z three\n2026-01-02T"},
		{"limit in bytes", stream.LogOptions{LimitBytes: 9}, "one\ntwo\nt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := collect(t, place, c.options); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Tails are counted backwards in blocks; the answer is that of counting forwards, wherever the blocks fall.
func TestTailOfLongLogs(t *testing.T) {
	random := rand.New(rand.NewSource(4))
	var content strings.Builder
	var texts []string
	for i := range 3000 {
		text := strings.Repeat("x", random.Intn(200))
		if i%500 == 0 {
			text = strings.Repeat("y", 16<<10)
		}
		texts = append(texts, text)
		content.WriteString(cri(i, "F", text))
	}
	place := write(t, content.String())
	for _, n := range []int{1, 2, 100, 499, 500, 501, 1777, 2999, 3000} {
		want := strings.Join(texts[len(texts)-n:], "\n") + "\n"
		if got := collect(t, place, stream.LogOptions{Tail: lines(int64(n))}); got != want {
			t.Errorf("the last %d lines: got %d bytes, want %d", n, len(got), len(want))
		}
	}
}

// A log that was never written is empty, not an error.
func TestNoFile(t *testing.T) {
	place := Place{Path: filepath.Join(t.TempDir(), "none", "0.log"), Running: func() bool { return false }}
	for _, follow := range []bool{false, true} {
		if got := collect(t, place, stream.LogOptions{Follow: follow}); got != "" {
			t.Errorf("got %q", got)
		}
	}
}

// A follower gets every line once and in order while the log grows and rotates under it, and ends after the
// container did.
func TestFollowAcrossRotations(t *testing.T) {
	place := write(t, "")
	var running atomic.Bool
	running.Store(true)
	place.Running = running.Load
	const total = 4000
	go func() {
		defer running.Store(false)
		file, _ := os.OpenFile(place.Path, os.O_APPEND|os.O_WRONLY, 0)
		for i := range total {
			file.WriteString(cri(i, "F", fmt.Sprint("line ", i)))
			if i%400 == 399 { // ten rotations; the reader has to keep up with all but the oldest files
				file.Close()
				for n := 20; n > 0; n-- {
					os.Rename(fmt.Sprintf("%s.%d", place.Path, n), fmt.Sprintf("%s.%d", place.Path, n+1))
				}
				os.Rename(place.Path, place.Path+".1")
				file, _ = os.OpenFile(place.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			}
		}
		file.Close()
	}()
	got := strings.Split(strings.TrimSuffix(collect(t, place, stream.LogOptions{Follow: true}), "\n"), "\n")
	for i, l := range got {
		if want := fmt.Sprint("line ", i); l != want {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if len(got) != total {
		t.Errorf("got %d lines, want %d", len(got), total)
	}
}

// A reader that leaves ends a follower at once.
func TestFollowEndsWithItsReader(t *testing.T) {
	place := write(t, cri(1, "F", "one"))
	place.Running = func() bool { return true }
	ctx, cancel := context.WithCancel(context.Background())
	err := read(ctx, place, stream.LogOptions{Follow: true}, stamp(9), func([]byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(cri(1, "F", "text")))
	f.Add([]byte("x stdout P \n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, ok := parseLine(raw); ok {
			_ = l.at()
			if len(l.text) >= len(raw) {
				t.Errorf("%q gave the text %q", raw, l.text)
			}
		}
	})
}

// Whatever lies in a log file, as after a power cut in the middle of a line, it is read to its end, and no more comes out
// of it than lies in it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(cri(1, "F", "one")+cri(2, "P", "tw")+cri(2, "F", "o")), int64(1), int64(0), false)
	f.Add([]byte(cri(1, "P", "never ended")), int64(0), int64(3), true)
	f.Add([]byte("\x00\x00\n\n stdout F x\n"+cri(3, "F", "after")), int64(-1), int64(5), false)
	f.Fuzz(func(t *testing.T, content []byte, tail, limit int64, stamps bool) {
		options := stream.LogOptions{Timestamps: stamps}
		if tail >= 0 {
			options.Tail = &tail
		}
		if limit > 0 {
			options.LimitBytes = limit
		}
		got := int64(0)
		place := write(t, string(content))
		if err := read(t.Context(), place, options, stamp(100), func(data []byte) error { got += int64(len(data)); return nil }); err != nil {
			t.Errorf("%q: %v", content, err)
		}
		if limit > 0 && got > limit || got > int64(len(content))+1 {
			t.Errorf("%q gave %d bytes", content, got)
		}
	})
}
