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

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/test/lab"
)

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
	seen := lab.NewRegisters()
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for client := range 6 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			drive(ctx, masters, seen, client)
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
		count := seen.Len()
		eventually(t, "clients have done something", func() error {
			if seen.Len() < count+150 {
				return fmt.Errorf("%d operations", seen.Len()-count)
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
	if err := seen.Check(); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations over %d deaths", seen.Len(), len(masters)-1)
}

// drive is one client: it asks the masters at random.
func drive(ctx context.Context, masters []*mortal, seen *lab.Registers, client int) {
	chance := rand.New(rand.NewPCG(uint64(client), 7))
	for n := 0; ctx.Err() == nil; n++ {
		m := masters[chance.IntN(len(masters))]
		if m.dead.Load() || m.sync.Status().State != Leading {
			time.Sleep(time.Millisecond) // as a client does between two attempts
			continue
		}
		name, called := fmt.Sprint("r", chance.IntN(3)), seen.Now()
		if chance.IntN(2) == 0 {
			rec, _ := m.store.View().Get(key(name))
			if m.sync.Status().State == Leading && !m.dead.Load() {
				seen.Read(client, called, name, string(rec.Value))
			}
			continue
		}
		value := strconv.Itoa(client) + "." + strconv.Itoa(n)
		_, err := m.store.Commit(context.Background(), []change.Change{{Key: key(name), Base: change.Any, Value: []byte(value)}})
		seen.Wrote(client, called, name, value, err == nil && !m.dead.Load()) // who is dead has told nobody
	}
}
