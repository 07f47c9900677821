package etcdsync

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skerry-edge/skerry/master/change"
)

// operation is what a client asks for.
type operation struct {
	key   string
	write string // empty: it is a read
}

// registers are what the objects have to look like: a write replaces the value, a read returns it.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			k := op.Input.(operation).key
			byKey[k] = append(byKey[k], op)
		}
		var out [][]porcupine.Operation
		for _, part := range byKey {
			out = append(out, part)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(operation); in.write != "" {
			return true, in.write
		}
		return output == state, state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v = %v", input, output) },
}

// witness notes what clients do and see.
type witness struct {
	began time.Time
	mu    sync.Mutex
	seen  []porcupine.Operation
}

func (w *witness) now() int64 { return int64(time.Since(w.began)) }

func (w *witness) note(client int, in operation, out string, call, back int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: back})
}

// mortal is a master that may die: nobody hears of it any more, and its line is cut.
type mortal struct {
	*master
	line uplink
	dead atomic.Bool
}

// Writes and reads of clients, which ask whoever leads, are linearizable over the deaths of leaders: what was acknowledged is
// there, in order, and what was not acknowledged happened once or never.
func TestLinearizableOverFailovers(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	var masters []*mortal
	for i := range 4 {
		line := newUplink(t, e.urls()[0])
		masters = append(masters, &mortal{master: newMaster(t, fmt.Sprint("m", i), keys, line.url()), line: line})
	}
	for _, m := range masters {
		m.start()
	}
	w := &witness{began: time.Now()}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for client := range 6 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			drive(ctx, masters, w, client)
		}()
	}
	for range len(masters) - 1 {
		var leader *mortal
		eventually(t, "a master leads", func() error {
			for _, m := range masters {
				if !m.dead.Load() && m.sync.Status().State == Leading {
					leader = m
					return nil
				}
			}
			return fmt.Errorf("none does")
		})
		count := len(w.copy())
		eventually(t, "clients have done something", func() error {
			if len(w.copy()) < count+150 {
				return fmt.Errorf("%d operations", len(w.copy())-count)
			}
			return nil
		})
		leader.dead.Store(true)
		leader.line.set(true)
	}
	eventually(t, "the last master leads", func() error {
		for _, m := range masters {
			if !m.dead.Load() && m.sync.Status().State == Leading {
				return nil
			}
		}
		return fmt.Errorf("it does not")
	})
	time.AfterFunc(time.Second, stop)
	clients.Wait()
	history := w.copy()
	if result := porcupine.CheckOperationsTimeout(registers, history, time.Minute); result != porcupine.Ok {
		t.Errorf("%d operations: %s", len(history), result)
	}
	// The check would see it if one acknowledged write were lost.
	for _, op := range history {
		if in := op.Input.(operation); in.write != "" && op.Return < int64(time.Hour) {
			late := porcupine.Operation{Input: operation{key: in.key}, Output: "", Call: w.now(), Return: w.now()}
			if porcupine.CheckOperations(registers, append(history, late)) {
				t.Error("a lost write is not noticed")
			}
			break
		}
	}
	t.Logf("%d operations over %d deaths", len(history), len(masters)-1)
}

func (w *witness) copy() []porcupine.Operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]porcupine.Operation{}, w.seen...)
}

// drive is one client: it asks the masters at random.
func drive(ctx context.Context, masters []*mortal, w *witness, client int) {
	chance := rand.New(rand.NewPCG(uint64(client), 7))
	for n := 0; ctx.Err() == nil; n++ {
		m := masters[chance.IntN(len(masters))]
		if m.dead.Load() || m.sync.Status().State != Leading {
			time.Sleep(time.Millisecond) // as a client does between two attempts
			continue
		}
		in := operation{key: fmt.Sprint("r", chance.IntN(3))}
		call := w.now()
		if chance.IntN(2) == 0 {
			rec, _ := m.store.View().Get(key(in.key))
			leads := m.sync.Status().State == Leading
			if back := w.now(); leads && !m.dead.Load() {
				w.note(client, in, string(rec.Value), call, back)
			}
			continue
		}
		in.write = strconv.Itoa(client) + "." + strconv.Itoa(n)
		_, err := m.store.Commit(context.Background(), []change.Change{{Key: key(in.key), Base: change.Any, Value: []byte(in.write)}})
		back := w.now()
		if err != nil || m.dead.Load() {
			back = int64(time.Hour) // nobody was told whether it happened
		}
		w.note(client, in, "", call, back)
	}
}
