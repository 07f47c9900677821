package change

import "testing"

// term × 2³² + start × 2²⁰ + n: clients keep these numbers across restarts and upgrades.
func TestRevisionsOfAnEpoch(t *testing.T) {
	for _, test := range []struct {
		epoch       Epoch
		first, last string
	}{
		{Epoch{}, "0", "1048575"},
		{Epoch{Start: 1}, "1048576", "2097151"},
		{Epoch{Start: MaxStart}, "4293918720", "4294967295"},
		{Epoch{Term: 1}, "4294967296", "4296015871"},
		{Epoch{Term: 1<<32 - 1, Start: MaxStart}, "18446744073708503040", "18446744073709551615"},
	} {
		if first, last := test.epoch.First(), test.epoch.Last(); first.String() != test.first || last.String() != test.last {
			t.Errorf("epoch %s: %s to %s, want %s to %s", test.epoch, first, last, test.first, test.last)
		}
		for _, rev := range []Rev{test.epoch.First(), test.epoch.First() + 1, test.epoch.Last()} {
			if got := rev.Epoch(); got != test.epoch {
				t.Errorf("revision %s is of epoch %s, want %s", rev, got, test.epoch)
			}
		}
	}
}

// Blocks follow each other without touching, whatever made the next epoch.
func TestBlocksDoNotOverlap(t *testing.T) {
	epochs := []Epoch{{}, {Start: 1}, {Start: MaxStart - 1}, {Start: MaxStart}, {Term: 1}, {Term: 1, Start: 7}, {Term: 9}}
	for i, a := range epochs {
		next := a.Next()
		if !a.Less(next) || next.Less(a) || next.Start > MaxStart || a.Last() >= next.First() {
			t.Errorf("epoch %s up to %s is followed by %s from %s", a, a.Last(), next, next.First())
		}
		for j, b := range epochs {
			if a.Less(b) != (i < j) || i < j && a.Last() >= b.First() {
				t.Errorf("epochs %s and %s", a, b)
			}
		}
	}
}

func TestParseRev(t *testing.T) {
	for _, rev := range []Rev{0, 1, 1 << 40, Any} {
		if got, err := ParseRev(rev.String()); got != rev || err != nil {
			t.Errorf("%s: got %s, %v", rev, got, err)
		}
	}
	if got, err := ParseRev(""); got != 0 || err != nil {
		t.Errorf("empty: got %s, %v", got, err)
	}
	for _, s := range []string{"x", "-1", "1.0", " 1", "18446744073709551616"} {
		if got, err := ParseRev(s); err == nil {
			t.Errorf("%q is %s", s, got)
		}
	}
}

func TestKeysForPeople(t *testing.T) {
	for want, k := range map[string]Key{
		"pods default/web": {Kind: "pods", Namespace: "default", Name: "web"},
		"nodes pi":         {Kind: "nodes", Name: "pi"},
	} {
		if got := k.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
