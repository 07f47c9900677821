package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What differs is shown with three lines around it, and nothing else.
func TestDiff(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"same":    {"a\nb\n", "a\nb\n", "…\n"},
		"both":    {"a\nb\nc\n", "a\nx\nc\n", " a\n-b\n+x\n c\n"},
		"new":     {"", "a\nb\n", "+a\n+b\n"},
		"gone":    {"a\n", "", "-a\n"},
		"nothing": {"", "", ""},
		"far":     {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\nx\n", "…\n 6\n 7\n 8\n-9\n+x\n"},
		"moved":   {"a\nb\nc\n", "b\nc\na\n", "-a\n b\n c\n+a\n"},
	} {
		if d := cmp.Diff(c.want, diff(c.before, c.after)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Whatever is compared, taking the lines of each side out of the comparison gives that side, if nothing is left out.
func TestDiffIsComplete(t *testing.T) {
	texts := []string{"", "a\n", "a\nb\na\n", "b\na\nb\nb\n", "c\na\n"}
	for _, before := range texts {
		for _, after := range texts {
			var a, b strings.Builder
			for _, e := range edits(lines(before), lines(after)) {
				if e.sign != '+' {
					a.WriteString(e.line + "\n")
				}
				if e.sign != '-' {
					b.WriteString(e.line + "\n")
				}
			}
			if a.String() != before || b.String() != after {
				t.Errorf("%q and %q: %q and %q", before, after, a.String(), b.String())
			}
		}
	}
}
