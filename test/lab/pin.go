package lab

import (
	"os/exec"
	"runtime"
)

// starter is the one thread that starts the lab's processes: Pdeathsig is about the thread that forked, so
// that thread has to live as long as the lab.
type starter struct{ requests chan startRequest }

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	go func() {
		runtime.LockOSThread()
		for r := range s.requests {
			r.done <- r.cmd.Start()
		}
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	r := startRequest{cmd: cmd, done: make(chan error)}
	s.requests <- r
	return <-r.done
}

func (s *starter) close() { close(s.requests) }

func (l *Lab) startPinned(cmd *exec.Cmd) error { return l.starter.start(cmd) }
