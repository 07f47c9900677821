package clock

import (
	"testing"
	"time"
)

// Whatever NTP does to the wall clock, elapsed time and deadlines go by the boot clock.
func TestElapsedTimeIgnoresTheWall(t *testing.T) {
	start := Now{Wall: time.Unix(0, 0), Boot: time.Hour}
	deadline := start.Add(10 * time.Second)
	for _, wall := range []time.Time{time.Unix(0, 0), time.Unix(1e9, 0), time.Unix(-1e9, 0)} {
		early := Now{Wall: wall, Boot: start.Boot + 10*time.Second - 1}
		late := Now{Wall: wall, Boot: start.Boot + 10*time.Second}
		if early.Reached(deadline) || !late.Reached(deadline) {
			t.Errorf("with the wall at %v the deadline is reached early (%v) or late (%v)", wall, early.Reached(deadline), !late.Reached(deadline))
		}
		if got := late.Since(start); got != 10*time.Second {
			t.Errorf("with the wall at %v %s have passed", wall, got)
		}
	}
	if want := time.Unix(10, 0); !deadline.Wall.Equal(want) {
		t.Errorf("for people the deadline is %v, want %v", deadline.Wall, want)
	}
}

func TestNever(t *testing.T) {
	far := Now{Boot: 200 * 365 * 24 * time.Hour}
	if far.Reached(Never) || far.IsNever() || !Never.IsNever() {
		t.Error("never has come")
	}
	if got := Never.Add(time.Hour); got != Never {
		t.Errorf("an hour after never is %v", got)
	}
	if Never.Since(far) <= 0 {
		t.Error("a timer for never would fire at once")
	}
}

func TestEarliest(t *testing.T) {
	at := func(s time.Duration) Now { return Now{Boot: s * time.Second} }
	for _, test := range []struct {
		in   []Now
		want Now
	}{
		{[]Now{at(3)}, at(3)},
		{[]Now{at(3), at(1), at(2)}, at(1)},
		{[]Now{Never, at(5)}, at(5)},
		{[]Now{at(5), Never}, at(5)},
		{[]Now{Never, Never}, Never},
	} {
		if got := Earliest(test.in[0], test.in[1:]...); got != test.want {
			t.Errorf("earliest of %v is %v", test.in, got)
		}
	}
}
