package sim

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

var (
	seed   = flag.Int64("seed", 0, "replay this seed alone, and write its trace")
	first  = flag.Int64("first", 1, "the first seed to play")
	seeds  = flag.Int("seeds", 0, "how many seeds to play; 0: as many as -budget lets")
	budget = flag.Duration("budget", 0, "for how long to begin with seeds; 0: 22s, or for ever with -seeds")
	worlds = flag.Int("worlds", runtime.GOMAXPROCS(0), "how many seeds to play at the same time")
	focus  = flag.Bool("permits", false, "play each seed in a world that is about permits")
	goOn   = flag.Bool("go-on", false, "play on after a seed that fails")
)

// sizes of worlds: most are small, for what goes wrong mostly does so between few; some have as many nodes as a site,
// few as many as a fleet.
func sizeOf(seed int64, r *rand.Rand) (nodes, pods int) {
	switch {
	case seed%200 == 0:
		return 200, 2000
	case seed%20 == 0:
		nodes = 20 + r.Intn(31)
		return nodes, 5 * nodes
	}
	return 1 + r.Intn(4), 0
}

// options are drawn from the seed, too.
func options(seed int64) Options {
	r := rand.New(rand.NewSource(-seed))
	o := Options{Seed: seed, Embedded: r.Intn(2) == 0, Skewed: r.Intn(3) > 0, Local: r.Intn(3) == 0}
	o.Nodes, o.Pods = sizeOf(seed, r)
	o.Permits = o.Pods == 0 && r.Intn(3) == 0
	if *focus {
		return aboutPermits(o)
	}
	return o
}

// aboutPermits makes a world one that is about permits.
func aboutPermits(o Options) Options {
	o.Permits, o.Pods, o.Local = true, 0, false
	o.Nodes, o.Limits = 2+int(o.Seed)%3, o.Seed%2 == 0
	return o
}

// play lets chaos reign for some minutes, and then everything has to come to rest.
func play(o Options) *World {
	w := New(o)
	w.user.Load(o.Pods)
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
	also := ""
	if *focus {
		also = " -permits"
	}
	t.Errorf("FAILED seed %d: %v\n\nreplay with: go test ./test/sim -run TestSeeds -seed %d%s\nwhole trace: %s\nwhat happened to it:\n%s",
		o.Seed, w.Failure(), o.Seed, also, path, w.Story(80))
}

// TestSeeds plays random histories, several at the same time: each world has one goroutine.
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
	began, limit := time.Now(), *budget
	switch {
	case limit > 0:
	case *seeds == 0:
		limit = 22 * time.Second
	default:
		limit = 24 * time.Hour
	}
	var mu sync.Mutex // guards what follows
	next, played, failed, lines, nodes := *first, 0, 0, 0, 0
	take := func() (int64, bool) {
		mu.Lock()
		defer mu.Unlock()
		switch n := int(next - *first); {
		case failed > 0 && !*goOn, *seeds > 0 && n == *seeds, testing.Short() && n == 20, time.Since(began) > limit:
			return 0, false
		}
		next++
		return next - 1, true
	}
	var workers sync.WaitGroup
	for range *worlds {
		workers.Go(func() {
			for s, more := take(); more; s, more = take() {
				o := options(s)
				w := play(o)
				mu.Lock()
				played++
				lines += bytes.Count(w.Trace(), []byte("\n"))
				nodes += o.Nodes
				if w.Failure() != nil {
					failed++
					report(t, o, w)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("played %d seeds from %d on: %d failed, %d nodes, %d lines of trace, %s",
		played, *first, failed, nodes, lines, time.Since(began).Round(time.Second))
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
