package etcdsync

import (
	"errors"
	"fmt"
	"testing"
)

// knows waits until a master knows that another one is alive.
func (m *master) knowsOthers() {
	m.t.Helper()
	eventually(m.t, m.name+" knows that there is another master", func() error {
		m.sync.mu.Lock()
		defer m.sync.mu.Unlock()
		if !m.sync.peers {
			return errors.New("it does not")
		}
		return nil
	})
}

func (m *master) rivals(elsewhere, apart bool) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%s: elsewhere %t, apart %t", m.name, elsewhere, apart), func() error {
		if e, a := m.sync.Elsewhere(), m.sync.Apart(); e != elsewhere || a != apart {
			return fmt.Errorf("elsewhere %t, apart %t", e, a)
		}
		return nil
	})
}

// A leader that is cut off is apart from the others, also over a restart; who takes over knows that it is not alone, until
// the other one has come back.
func TestRivals(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	a.rivals(false, false)
	line.set(true)
	a.put("one", "1")
	a.wait(Away)
	a.rivals(false, false) // there is nobody else
	line.set(false)
	a.wait(Leading)

	b.start()
	b.wait(Follower)
	a.knowsOthers()
	line.set(true)
	a.put("one", "2")
	a.wait(Away)
	a.rivals(false, true)
	a.stop()
	a.start()
	a.wait(Away)
	a.rivals(true, true)
	b.wait(Leading)
	b.rivals(true, false)
	line.set(false)
	a.wait(Follower)
	b.rivals(false, false)
}

// A leader that ends in order says so: nobody waits for it. One that yields has stopped before.
func TestNoRivals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cutOff CutOff
		end    func(a *master, line uplink)
	}{
		"ends":   {CutOffLead, func(a *master, _ uplink) { a.stop() }},
		"yields": {CutOffYield, func(_ *master, line uplink) { line.set(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, keys := startEtcd(t, 1), testKeys(t)
			line := newUplink(t, e.urls()[0])
			a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
			a.config.CutOff, a.config.TTL = c.cutOff, 3*testTTL
			a.start()
			a.wait(Leading)
			a.put("one", "1")
			b.start()
			b.wait(Follower)
			a.knowsOthers()
			c.end(a, line)
			b.wait(Leading)
			b.rivals(false, false)
			if name == "ends" { // and keeps its word when it starts again without etcd
				line.set(true)
				a.start()
				a.wait(Follower)
			}
		})
	}
}

// A master that was cut off and has burnt is forgotten: then nobody waits for its word any more, and nodes don't learn its broker. One
// that is alive isn't.
func TestForgetMaster(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	b.start()
	b.wait(Follower)
	a.knowsOthers()
	id := a.sync.Status().ID
	if found, err := b.sync.ForgetMaster(t.Context(), id); !found || !errors.Is(err, ErrAlive) {
		t.Errorf("a master that leads: %t, %v", found, err)
	}
	line.set(true)
	b.wait(Leading)
	b.rivals(true, false)
	a.stop() // it can't say so
	for _, want := range []bool{true, false} {
		if found, err := b.sync.ForgetMaster(t.Context(), id); err != nil || found != want {
			t.Errorf("found %t, %v, want %t", found, err, want)
		}
	}
	b.rivals(false, false)
	if all, err := b.sync.Masters(t.Context()); err != nil || len(all) != 1 || all[0].Name != "b" {
		t.Errorf("there are %v, %v", all, err)
	}
}
