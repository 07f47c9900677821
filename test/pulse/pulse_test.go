package pulse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// life beats each millisecond from one time to another, with what was left out.
func life(uid string, from, to int, without ...int) Life {
	l := Life{UID: uid}
	for ms := from; ms <= to; ms++ {
		if len(without) == 2 && without[0] < ms && ms < without[1] {
			continue
		}
		l.Beats = append(l.Beats, time.Duration(ms)*time.Millisecond)
	}
	return l
}

// Two lives overlap however short it is, also where one was frozen meanwhile, and where both are of one pod.
func TestAtMostOne(t *testing.T) {
	for name, c := range map[string]struct {
		lives []Life
		want  []string // in the error; none: it is fine
	}{
		"none":                   {nil, nil},
		"one after the other":    {[]Life{life("a", 0, 10), life("b", 11, 20)}, nil},
		"at one moment":          {[]Life{life("a", 0, 10), life("b", 10, 20)}, []string{"two at once for 0s: a from 0s to 10ms; b from 10ms to 20ms"}},
		"for a while":            {[]Life{life("a", 0, 15), life("b", 10, 20)}, []string{"two at once for 5ms"}},
		"frozen, and going on":   {[]Life{life("a", 0, 30, 9, 30), life("b", 12, 20)}, []string{"two at once for 8ms"}},
		"frozen for good":        {[]Life{life("a", 0, 9), life("b", 12, 20)}, nil},
		"restarted too early":    {[]Life{life("a", 0, 9), life("a", 8, 20)}, []string{"a from 0s to 9ms; a from 8ms"}},
		"three, first and third": {[]Life{life("a", 0, 40), life("b", 5, 6), life("c", 30, 31)}, []string{"; b from", "; c from"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, AtMostOne(c.lives), c.want) })
	}
}

// A pause counts whether it is before the first, between two, after the last, or within one that was frozen.
func TestAlways(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		lives []Life
		want  []string
	}{
		"one":                 {[]Life{life("a", 0, 100)}, nil},
		"handed over":         {[]Life{life("a", 0, 50), life("b", 53, 100)}, nil},
		"nothing":             {nil, []string{"none for 80ms, from 10ms to 90ms"}},
		"too late":            {[]Life{life("a", 30, 100)}, []string{"none for 20ms, from 10ms to 30ms"}},
		"too short":           {[]Life{life("a", 0, 50)}, []string{"none for 40ms, from 50ms to 90ms"}},
		"a hole":              {[]Life{life("a", 0, 50), life("b", 60, 100)}, []string{"none for 10ms, from 50ms to 60ms"}},
		"frozen":              {[]Life{life("a", 0, 100, 20, 40)}, []string{"none for 20ms, from 20ms to 40ms"}},
		"another meanwhile":   {[]Life{life("a", 0, 100, 20, 40), life("b", 20, 40)}, nil},
		"outside what counts": {[]Life{life("a", 9, 91)}, nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, Always(c.lives, 10*ms, 90*ms, 5*ms), c.want) })
	}
}

func expect(t *testing.T, err error, want []string) {
	t.Helper()
	if (err == nil) != (want == nil) {
		t.Fatalf("it says %v; want %q", err, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("it says %v; want in it %q", err, w)
		}
	}
}

// What is being written is left out, and what can't be read is an error, not a life less.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("b@20", "20\n21\n2")
	put("a@10", "10\n15\n")
	put("c@30", "")
	got, err := Read(dir)
	if diff := cmp.Diff([]Life{{"a", []time.Duration{10, 15}}, {"b", []time.Duration{20, 21}}}, got); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	put("d@40", "40\nx\n41\n")
	if _, err := Read(dir); err == nil {
		t.Error("a file that is no life's is read")
	}
}
