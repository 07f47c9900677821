package main

import (
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

const (
	maxConns = 8
	// patience is how long a client may take to ask.
	patience = 5 * time.Second
	// linger is how long a guard that systemd started stays with nothing armed: the next question often comes soon.
	linger = time.Second
	// collectEvery is after how many rounds garbage is collected: a round makes a few kilobytes.
	collectEvery = 16
)

// loop waits for time and questions. A signal ends the guard at once; what is armed is in its state file.
type loop struct {
	keeper    *keeper
	log       *logger
	listener  int
	activated bool // by systemd, which starts another guard when it is needed
	timer     *timer

	conns []*conn
	idle  time.Duration // since when there has been nothing to do; never: there is
}

// conn is a client that is asking.
type conn struct {
	fd    int
	since time.Duration
	buf   [wire.MaxRequest]byte
	n     int
}

func newLoop(k *keeper, listener int, activated bool, log *logger) (*loop, error) {
	t, err := newTimer()
	if err != nil {
		return nil, err
	}
	return &loop{keeper: k, log: log, listener: listener, activated: activated, timer: t, idle: never}, nil
}

// run returns nil when there is nothing left to do.
func (l *loop) run() error {
	if err := l.timer.wake(l.next(bootTime())); err != nil { // what is due comes first
		return err
	}
	if err := tellSystemd("READY=1"); err != nil {
		l.log.line("warn", "systemd can't be told the state: "+err.Error(), "", 0)
	}
	fds := make([]pollFD, 0, 2+maxConns)
	for rounds := 1; ; rounds++ {
		if rounds%collectEvery == 0 {
			runtime.GC() // it would wait until there are megabytes
		}
		now := bootTime()
		next := l.next(now)
		if l.done(now) {
			return nil
		}
		if err := l.timer.wake(next); err != nil {
			return err
		}
		fds = append(fds[:0], pollFD{fd: int32(l.timer.fd), events: pollIn}, pollFD{fd: -1, events: pollIn})
		if len(l.conns) < maxConns {
			fds[1].fd = int32(l.listener)
		}
		for _, c := range l.conns {
			fds = append(fds, pollFD{fd: int32(c.fd), events: pollIn})
		}
		if err := poll(fds, -1); err != nil {
			return err
		}
		l.timer.rang()
		if err := l.serve(fds[2:]); err != nil {
			return err
		}
		if fds[1].got != 0 {
			l.accept()
		}
	}
}

// next does what is due, and says when something is due again.
func (l *loop) next(now time.Duration) time.Duration {
	next := l.keeper.Step(now)
	for _, c := range l.conns {
		next = min(next, c.since+patience)
	}
	switch {
	case !l.activated || len(l.keeper.groups) > 0 || len(l.conns) > 0:
		l.idle = never
	case l.idle == never:
		l.idle = now
	}
	if l.idle != never {
		next = min(next, l.idle+linger)
	}
	return next
}

// done says that systemd may take over the socket.
func (l *loop) done(now time.Duration) bool { return l.idle != never && now-l.idle >= linger }

// accept takes a new client.
func (l *loop) accept() {
	fd, _, err := syscall.Accept4(l.listener, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
	if err != nil {
		return // it has gone, or there is no descriptor left: the next one will do
	}
	c := &conn{fd: fd, since: bootTime()}
	l.conns = append(l.conns, c)
	if !mayAsk(fd) {
		l.end(c, refused("only root may ask"))
	}
}

// serve reads what clients have sent, and answers whole lines.
func (l *loop) serve(ready []pollFD) error {
	now := bootTime()
	for i, c := range slices.Clone(l.conns) {
		if ready[i].got == 0 {
			if now-c.since >= patience {
				l.drop(c)
			}
			continue
		}
		n, err := syscall.Read(c.fd, c.buf[c.n:])
		if err == syscall.EAGAIN || err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			l.drop(c) // gone, or a line that never ends
			continue
		}
		c.n += n
		line, _, whole := strings.Cut(string(c.buf[:c.n]), "\n")
		if !whole {
			continue
		}
		if err := l.obey(c, line); err != nil {
			return err
		}
	}
	return nil
}

// obey acts, sets the timer, and only then answers.
func (l *loop) obey(c *conn, line string) error {
	request, err := wire.ParseRequest(line)
	if err != nil {
		l.end(c, refused(err.Error()))
		return nil
	}
	now := bootTime()
	l.keeper.Step(now) // a deadline that has passed counts before a new one
	answer := l.keeper.answer(request, now)
	if err := l.timer.wake(l.next(bootTime())); err != nil {
		return err // no timer, no guard; nothing was acknowledged
	}
	l.end(c, answer)
	return nil
}

// end answers and hangs up. A client that has no room for a line isn't waited for.
func (l *loop) end(c *conn, a wire.Answer) {
	_ = syscall.Sendto(c.fd, a.Line(), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, nil)
	l.drop(c)
}

func (l *loop) drop(c *conn) {
	syscall.Close(c.fd)
	l.conns = slices.DeleteFunc(l.conns, func(other *conn) bool { return other == c })
}
