package stream

import (
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Machine is one end of one stream. It is driven by one goroutine at a time: what happened goes in, frames to
// send come out.
type Machine struct {
	id        uint64
	keepAlive time.Duration
	patience  time.Duration

	sent        uint64 // number of the last data, fin or end frame sent
	credit      int    // bytes that may still be sent
	received    uint64 // number of the last data, fin or end frame received
	granted     int    // bytes that the other end may still send, as far as it has been told
	unannounced int    // bytes consumed since the last credit frame
	heard       clock.Now
	spoke       clock.Now
	over        bool
	finished    [256]bool // channels on which the other end sends no more
}

// NewMachine is one end of stream id, just opened or accepted. Both ends begin with credit for a Window.
func NewMachine(id uint64, open Open, now clock.Now) *Machine {
	m := &Machine{id: id, credit: Window, granted: Window, heard: now, spoke: now}
	m.keepAlive, m.patience = open.Intervals()
	return m
}

// Over reports whether the stream has ended, from either side.
func (m *Machine) Over() bool { return m.over }

// Room is how many bytes Send would take now.
func (m *Machine) Room() int {
	if m.over {
		return 0
	}
	return min(m.credit, MaxData)
}

// Send makes a frame of as much of data as there is room for; n is how much that is.
func (m *Machine) Send(channel byte, data []byte, now clock.Now) (f Frame, n int) {
	n = min(m.Room(), len(data))
	if n == 0 {
		return Frame{}, 0
	}
	m.sent++
	m.credit -= n
	m.spoke = now
	return Frame{Stream: m.id, Number: m.sent, Channel: channel, Data: data[:n]}, n
}

// CloseWrite says that this side sends no more on a channel; the rest of the stream goes on. It takes no credit.
func (m *Machine) CloseWrite(channel byte, now clock.Now) (f Frame, send bool) {
	if m.over {
		return Frame{}, false
	}
	m.sent++
	m.spoke = now
	return Frame{Stream: m.id, Number: m.sent, Channel: channel, Fin: true}, true
}

// Finish ends the stream from this side; nothing may be sent or received afterwards.
func (m *Machine) Finish(end End, now clock.Now) Frame {
	m.over = true
	m.sent++
	m.spoke = now
	return Frame{Stream: m.id, Number: m.sent, End: &end}
}

// Receive takes in a frame of the other end. data is what arrived, empty but not nil when the other end sends no
// more on the frame's channel; ended is set when the other end finished.
// An error means that the stream can't go on: frames were lost, or the other end breaks the rules; the caller
// finishes with it. A frame that was seen before is skipped.
func (m *Machine) Receive(f Frame, now clock.Now) (data []byte, ended *End, err error) {
	if m.over {
		return nil, nil, nil
	}
	m.heard = now
	if int64(m.credit)+int64(f.Credit) > 4*Window { // before it is added: int has 32 bits on small boards
		return nil, nil, fmt.Errorf("the other end gave credit for %d bytes more, beyond any window", f.Credit)
	}
	m.credit += int(f.Credit)
	if f.End != nil && f.Number == 0 { // the other end doesn't have this stream, and so no numbers
		m.over = true
		return nil, f.End, nil
	}
	if f.Number <= m.received {
		return nil, nil, nil
	}
	if f.Number != m.received+1 {
		return nil, nil, fmt.Errorf("%w: frame %d came after frame %d", ErrLost, f.Number, m.received)
	}
	m.received = f.Number
	if f.End != nil {
		m.over = true
		return nil, f.End, nil
	}
	if m.finished[f.Channel] {
		return nil, nil, fmt.Errorf("the other end goes on with channel %d, which it had finished", f.Channel)
	}
	if f.Fin {
		m.finished[f.Channel] = true
		return []byte{}, nil, nil
	}
	if len(f.Data) > m.granted {
		return nil, nil, fmt.Errorf("the other end sent %d bytes with credit for %d", len(f.Data), m.granted)
	}
	m.granted -= len(f.Data)
	return f.Data, nil, nil
}

// Consumed says that n bytes which Receive delivered are done with; it returns a credit frame once that is
// worth one.
func (m *Machine) Consumed(n int, now clock.Now) (f Frame, send bool) {
	m.unannounced += n
	if m.over || m.unannounced < Window/2 {
		return Frame{}, false
	}
	f = Frame{Stream: m.id, Credit: uint32(m.unannounced)}
	m.granted += m.unannounced
	m.unannounced = 0
	m.spoke = now
	return f, true
}

// Tick says what time it is: send is set when it is time to say that this end is alive, err when the other
// end has been silent for too long, and next is when to call again.
func (m *Machine) Tick(now clock.Now) (f Frame, send bool, next clock.Now, err error) {
	if m.over {
		return Frame{}, false, clock.Never, nil
	}
	if now.Since(m.heard) >= m.patience {
		return Frame{}, false, clock.Never, fmt.Errorf("the other end has not been heard of for %s", m.patience)
	}
	if now.Since(m.spoke) >= m.keepAlive {
		m.spoke = now
		f, send = Frame{Stream: m.id, Alive: true}, true
	}
	return f, send, clock.Earliest(m.heard.Add(m.patience), m.spoke.Add(m.keepAlive)), nil
}
