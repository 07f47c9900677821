package sim

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	seed  = flag.Int64("seed", 0, "replay this seed alone, and write its trace")
	seeds = flag.Int("seeds", 0, "how many seeds to play; 0: as many as fit into the time")
)

// budget is how long TestSeeds plays when -seeds does not say how many.
const budget = 22 * time.Second

// options are drawn from the seed, too.
func options(seed int64) Options {
	r := rand.New(rand.NewSource(-seed))
	return Options{Seed: seed, Nodes: 1 + r.Intn(4), Embedded: r.Intn(2) == 0, Skewed: r.Intn(3) > 0}
}

// play lets chaos reign for some minutes, and then everything has to come to rest.
func play(o Options) *World {
	w := New(o)
	_ = w.Run(5*time.Second) && w.Chaos(4*time.Minute) && w.Settle()
	return w
}

// report prints what a person needs who looks into a failure.
func report(t *testing.T, o Options, w *World) {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("skerry-sim-%d.txt", o.Seed))
	if err := os.WriteFile(path, w.Trace(), 0o644); err != nil {
		t.Error(err)
	}
	t.Errorf("seed %d: %v\n\nreplay with: go test ./test/sim -run TestSeeds -seed %d\nwhole trace: %s\nits end:\n%s",
		o.Seed, w.Failure(), o.Seed, path, w.Tail(60))
}

// TestSeeds plays random histories.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		o := options(*seed)
		w := play(o)
		t.Logf("seed %d: %+v, trace %s, %d bytes", *seed, o, w.Hash(), len(w.Trace()))
		if w.Failure() != nil {
			report(t, o, w)
		}
		return
	}
	began, played, lines := time.Now(), 0, 0
	for s := int64(1); ; s++ {
		if *seeds > 0 && played == *seeds || *seeds == 0 && (time.Since(began) > budget || testing.Short() && played == 20) {
			break
		}
		o := options(s)
		w := play(o)
		played++
		lines += bytes.Count(w.Trace(), []byte("\n"))
		if w.Failure() != nil {
			report(t, o, w)
			break
		}
	}
	t.Logf("%d seeds, %d lines of trace, %s", played, lines, time.Since(began).Round(time.Second))
}

// TestReplay: a seed has the same trace each time, to the byte.
func TestReplay(t *testing.T) {
	for s := int64(1); s <= 8; s++ {
		a, b := play(options(s)), play(options(s))
		if a.Hash() != b.Hash() {
			at := 0
			for at < min(len(a.Trace()), len(b.Trace())) && a.Trace()[at] == b.Trace()[at] {
				at++
			}
			from := bytes.LastIndexByte(a.Trace()[:at], '\n') + 1
			t.Errorf("seed %d: the traces differ after %d bytes:\n%.200s\n%.200s", s, at, a.Trace()[from:], b.Trace()[from:])
		}
	}
}
