package sim

import (
	"errors"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// weather is what the network does to packets, as probabilities.
type weather struct {
	loses    float64
	repeats  float64 // a copy arrives, up to 20 s later
	delays   float64 // by up to 5 s
	reorders float64 // a packet may overtake those before it
}

// line is a process' connection to the broker, with what keeps it up.
type line struct {
	id      string
	machine *machine
	client  *bus.Client
	closed  bool                 // its process is dead
	frozen  func() time.Duration // until when it is, by the right clock
	trying  bool
	tries   int
	last    map[bool]time.Duration
}

// newLine makes a process' end of a connection; it connects by itself.
func (w *World) newLine(id string, m *machine, will func(uint64) (string, []byte), frozen func() time.Duration) *line {
	l := &line{
		id: id, machine: m, client: w.bus.Client(bus.ClientConfig{ID: id, Will: will}),
		frozen: frozen, last: map[bool]time.Duration{},
	}
	w.lines = append(w.lines, l)
	if now := w.line(id); now == nil || now.machine == m || now.closed {
		w.newest[id] = l // not that of a copy of the machine
	}
	return l
}

// collect takes what has just been sent and decides what becomes of it.
func (w *World) collect() {
	for _, p := range w.bus.Take() {
		w.sent[channel(p.Topic)]++
		w.checkPacket(p)
		if w.chance(w.weather.loses) {
			w.log(p.Client, "%s lost", say(p))
			continue
		}
		w.send(p, time.Duration(0))
		if w.chance(w.weather.repeats) {
			w.send(p, w.between(0, 20*time.Second))
		}
	}
}

// send lets a packet arrive in its time.
func (w *World) send(p bus.Packet, late time.Duration) {
	at := w.now + late + w.between(time.Millisecond, 12*time.Millisecond)
	if w.chance(w.weather.delays) {
		at += w.between(0, 5*time.Second)
	}
	if l := w.line(p.Client); l != nil && late == 0 && !w.chance(w.weather.reorders) {
		at = max(at, l.last[p.Up])
		l.last[p.Up] = at
	}
	w.after(at-w.now, func() {
		if w.options.Broken.Packet != nil {
			p = w.options.Broken.Packet(w, p)
		}
		if w.bus.Deliver(p) {
			w.heard(p)
			w.log(p.Client, "%s", say(p))
			w.record(p)
			w.doze(p)
		} else {
			w.log(p.Client, "%s not delivered", say(p))
		}
	})
}

// doze freezes an agent that is to be with the request that has just arrived.
func (w *World) doze(p bus.Packet) {
	name, channel, ok := w.topics.Parse(p.Topic)
	if n := w.byName[name]; ok && n != nil && !p.Up && channel == protocol.Beat {
		n.beat = w.now
	}
	if n := w.byName[name]; ok && n != nil && n.dozes && n.asked() && !p.Up && p.Client == name && channel == protocol.Request {
		n.dozesOff()
	}
}

// line is the newest line of a client.
func (w *World) line(id string) *line {
	if l := w.newest[id]; l != nil && !l.closed {
		return l
	}
	return nil
}

// reconnect begins an attempt for every line that is down and has none under way.
func (w *World) reconnect() {
	kept := w.lines[:0]
	for _, l := range w.lines {
		if l.closed {
			continue
		}
		kept = append(kept, l)
		if _, up := l.client.Connection(); !up && !l.trying {
			l.trying = true
			pause := time.Duration(0)
			if l.tries > 0 {
				pause = w.between(0, min(time.Second<<min(l.tries, 10), w.settings.Timeout()/2, time.Minute))
			}
			l.tries++
			w.after(pause, func() { w.connect(l) })
		}
	}
	w.lines = kept
}

func (w *World) connect(l *line) {
	if left := l.frozen() - w.now; left > 0 && !l.closed {
		w.after(left, func() { w.connect(l) })
		return
	}
	l.trying = false
	if l.closed || w.now < w.brokerUp {
		return
	}
	if err := l.client.Connect(); err != nil {
		if !errors.Is(err, bus.ErrUnreachable) {
			w.fail("%s connects: %w", l.id, err)
		}
		return
	}
	w.holder[l.id] = l
	number, _ := l.client.Connection()
	w.log(l.id, "connected, for the %d. time", number)
	if w.options.Broken.Connected != nil {
		w.options.Broken.Connected(w, l)
	}
	w.after(time.Minute, func() {
		if n, up := l.client.Connection(); up && n == number {
			l.tries = 0
		}
	})
}

// close ends a line with its process. The broker notices at once when the kernel says so, and later when the
// machine has lost its power.
func (w *World) close(l *line, noticed time.Duration) {
	l.closed = true
	number, _ := l.client.Connection()
	l.client.Lose()
	w.after(noticed, func() { w.drop(l, number) })
}

// drop makes the broker notice that a connection is gone, unless there is a newer one.
func (w *World) drop(l *line, connection uint64) {
	if w.holder[l.id] != l {
		return // another one took over, and the will is out
	}
	if n, _ := l.client.Connection(); n == connection {
		w.log(l.id, "the broker has noticed that the connection is gone")
		w.bus.Drop(l.id)
		// What the client sends next is answered by a reset, at the latest when it pings.
		w.after(w.between(20*time.Second, 90*time.Second), func() { w.lose(l, connection) })
	}
}

// cut takes away directions of a client's link for some time. Both ends notice sooner or later, or not at all.
func (w *World) cut(id string, up, down bool, d time.Duration) {
	w.log(id, "CUT up=%t down=%t for %s", up, down, d)
	w.bus.Cut(id, up, down)
	if l := w.line(id); l != nil {
		number, _ := l.client.Connection()
		w.after(w.between(5*time.Second, 20*time.Second), func() { w.notice(l, number) })
		w.after(w.between(15*time.Second, 6*time.Minute), func() {
			if w.isCut[id] > 0 {
				w.drop(l, number)
				w.after(w.between(time.Second, 20*time.Second), func() { w.notice(l, number) })
			}
		})
	}
	w.isCut[id]++
	cut := w.isCut[id]
	w.after(d, func() {
		if w.isCut[id] == cut {
			w.heal(id)
		}
	})
}

// lose ends a client's connection if it is still that one, and when the client is awake.
func (w *World) lose(l *line, connection uint64) {
	if left := l.frozen() - w.now; left > 0 && !l.closed {
		w.after(left, func() { w.lose(l, connection) })
		return
	}
	if n, up := l.client.Connection(); up && n == connection && !l.closed {
		l.client.Lose()
	}
}

// notice makes a client find out that a connection of its is gone, if it is.
func (w *World) notice(l *line, connection uint64) {
	if left := l.frozen() - w.now; left > 0 && !l.closed {
		w.after(left, func() { w.notice(l, connection) })
		return
	}
	if n, up := l.client.Connection(); up && n == connection && !l.closed && (w.isCut[l.id] > 0 || w.chance(0.5)) {
		w.log(l.id, "has noticed that its connection is gone")
		l.client.Lose()
	}
}

func (w *World) heal(id string) {
	w.log(id, "HEALED")
	delete(w.isCut, id)
	w.bus.Cut(id, false, false)
}

// restartBroker ends all connections and what is retained.
func (w *World) restartBroker(down time.Duration) {
	w.log("broker", "RESTARTS, forgets everything, is away for %s", down)
	w.brokerUp = max(w.brokerUp, w.now+down)
	w.bus.Restart()
}

// channel is the last word of a topic, but for probes.
func channel(topic string) string {
	if strings.Contains(topic, "/m/probe/") {
		return "probe"
	}
	return topic[strings.LastIndexByte(topic, '/')+1:]
}

func say(p bus.Packet) string {
	way, topic := "to", p.Topic
	if p.Up {
		way = "from"
	}
	if i := strings.Index(topic, "/n/"); i >= 0 {
		topic = topic[i+3:]
	}
	text := way + " " + topic
	if p.Retain {
		text += " retained"
	}
	return text + " " + mark(p.Payload)
}
