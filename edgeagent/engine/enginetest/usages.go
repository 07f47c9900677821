package enginetest

import (
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

var usages = map[string]func(*testing.T, *bench){
	"a busy container uses about its limit and an idle one about nothing": func(t *testing.T, b *bench) {
		if !b.Quota {
			t.Skip("limits of processor time don't work on this machine")
		}
		const limit = 200 // thousandths
		busy, idle := b.spec("busy", "spin"), b.spec("idle", "sleep")
		busy.CPUMilli = limit
		b.start(t, busy)
		b.start(t, idle)
		before := map[string]engine.Usage{}
		wait(t, "both containers' use is as it should be", func() bool {
			at := b.usages(t)
			quiet, loud := at[idle.ID], at[busy.ID]
			if before[busy.ID].At.IsZero() || before[idle.ID].At.IsZero() {
				before = at
				return false
			}
			if loud.At.Sub(before[busy.ID].At) < 500*time.Millisecond {
				return false
			}
			used, rest := milli(before[busy.ID], loud), milli(before[idle.ID], quiet)
			t.Logf("busy: %d, idle: %d thousandths of a core", used, rest)
			if used > limit*3/2 {
				t.Errorf("%d thousandths of a core are used, with a limit of %d", used, limit)
			}
			before = at
			return used > limit/2 && rest < limit/10
		})
	},
	"what is used never becomes less": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		b.in(t, s.ID, engine.Running)
		last := b.usages(t)[s.ID]
		for range 5 {
			next := b.usages(t)[s.ID]
			if next.CPU < last.CPU || next.At.Before(last.At) {
				t.Errorf("%+v came after %+v", next, last)
			}
			last = next
		}
	},
	"memory follows what is allocated": func(t *testing.T, b *bench) {
		small, large := b.start(t, b.spec("small", "eat", "8")), b.start(t, b.spec("large", "eat", "64"))
		wait(t, "the larger holds 56 MiB more", func() bool {
			at := b.usages(t)
			more := at[large.ID].Memory - at[small.ID].Memory
			return at[small.ID].Memory >= 8<<20 && more > 50<<20 && more < 62<<20
		})
	},
	"only what runs has a use": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		b.in(t, s.ID, engine.Running)
		u, listed := b.usages(t)[s.ID]
		if !listed || u.Labels[engine.LabelPodUID] != b.uid || u.Labels[engine.LabelContainer] != "app" {
			t.Errorf("while it runs: %+v, %v", u, listed)
		}
		if err := b.Engine.Stop(ctx(t), s.ID, 0); err != nil {
			t.Fatal(err)
		}
		if u, listed := b.usages(t)[s.ID]; listed {
			t.Errorf("after its end: %+v", u)
		}
	},
}

// usages are what the engine says of this sub-test's containers, by ID.
func (b *bench) usages(t *testing.T) map[string]engine.Usage {
	t.Helper()
	list, err := b.Engine.Usage(ctx(t))
	if err != nil {
		t.Fatalf("Usage: %v", err)
	}
	out := map[string]engine.Usage{}
	for _, u := range list {
		if u.Labels[engine.LabelPodUID] == b.uid {
			out[u.ID] = u
		}
	}
	return out
}

// milli is what was used between two readings, in thousandths of a core.
func milli(from, to engine.Usage) int64 {
	return int64(1000 * (to.CPU - from.CPU) / max(to.At.Sub(from.At), 1))
}
