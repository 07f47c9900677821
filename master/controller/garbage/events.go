package garbage

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// events collects Events by age and number.
type events struct {
	ttl   time.Duration
	limit int

	queue  []happened                // the oldest first; also what has happened again since
	newest map[change.Key]change.Rev // of each event: what of the queue counts
	timed  int                       // how many of the queue have their time
	sorted bool
}

// happened is an event at the revision at which it last happened.
type happened struct {
	key  change.Key
	rev  change.Rev
	wall int64     // Unix seconds, of those that were there when the planner started
	at   clock.Now // when the planner saw it, or what the wall clock makes of it
}

func (c *events) reset() {
	c.queue, c.newest, c.timed, c.sorted = nil, map[change.Key]change.Rev{}, 0, false
}

func (c *events) observe(e change.Event, starting bool) {
	if e.Key.Kind != resource.Events.Kind {
		return
	}
	if !e.New.Exists() {
		delete(c.newest, e.Key)
		return
	}
	h := happened{key: e.Key, rev: e.New.Rev}
	if starting {
		var event corev1.Event
		if event.Unmarshal(e.New.Value) == nil {
			h.wall = event.LastTimestamp.Unix()
		}
	}
	c.newest[e.Key] = h.rev
	c.queue = append(c.queue, h)
}

func (c *events) counts(h happened) bool { return c.newest[h.key] == h.rev }

func (c *events) plan(p *plan) {
	c.time(p.now)
	if len(c.queue) > 2*len(c.newest)+groupSize {
		c.queue = slices.DeleteFunc(c.queue, func(h happened) bool { return !c.counts(h) })
		c.timed = len(c.queue)
	}
	excess := 0
	if len(c.newest) > c.limit {
		excess = len(c.newest) - c.limit*9/10 // some more, so as not to delete one for each new one
	}
	removed := 0
	for _, h := range c.queue {
		if !c.counts(h) {
			continue
		}
		reason := "too many events"
		if removed >= excess {
			if until := h.at.Add(c.ttl); !p.now.Reached(until) {
				p.next = clock.Earliest(p.next, until)
				break
			}
			reason = "it happened last more than " + c.ttl.String() + " ago"
		}
		if p.full() {
			break
		}
		if rec, ok := p.view.Get(h.key); ok && rec.Rev == h.rev && p.claim(h.key) {
			p.open().Drop(rec, reason)
			removed++
		}
	}
	for len(c.queue) > 0 && !c.counts(c.queue[0]) {
		c.queue = c.queue[1:]
		c.timed--
	}
}

// time gives what has happened since the last plan its time.
func (c *events) time(now clock.Now) {
	fresh := c.queue[c.timed:]
	if !c.sorted {
		slices.SortStableFunc(fresh, func(a, b happened) int { return cmp.Compare(a.age(now), b.age(now)) * -1 })
		c.sorted = true
	}
	for i := range fresh {
		fresh[i].at = now.Add(-fresh[i].age(now))
	}
	c.timed = len(c.queue)
}

// age is how long ago an event happened: no time, for one that the planner has just seen.
func (h happened) age(now clock.Now) time.Duration {
	if h.wall == 0 {
		return 0
	}
	return max(now.Wall.Sub(time.Unix(h.wall, 0)), 0)
}
