package main

import (
	"strings"
	"testing"
	"time"
)

// What people write for a time is read, and written back as they would.
func TestLifetime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		d    time.Duration
		back string
	}{
		"30d": {720 * time.Hour, "720h"}, "1d": {24 * time.Hour, "24h"}, "90m": {90 * time.Minute, "1h30m"}, "24h": {24 * time.Hour, "24h"},
		"10s": {10 * time.Second, "10s"}, "0": {0, "0s"}, "-1h": {-time.Hour, "-1h"},
	} {
		var l lifetime
		if err := l.Set(text); err != nil || time.Duration(l) != want.d || l.String() != want.back {
			t.Errorf("%s: %s, %v; written %s", text, time.Duration(l), err, l.String())
		}
	}
	for _, text := range []string{"", "5", "d", "1.5d", "99999d", "tomorrow"} {
		var l lifetime
		if err := l.Set(text); err == nil || !strings.Contains(err.Error(), "write 90m, 12h or 30d") {
			t.Errorf("%q: %v, read as %s", text, err, time.Duration(l))
		}
	}
}
