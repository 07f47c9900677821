package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// hangUpGrace is how long a process that nobody listens to any more has between SIGHUP and SIGKILL.
const hangUpGrace = 2 * time.Second

// execPrefix begins the names of the directories of pipes, so that those of a crashed agent can be removed.
const execPrefix = "exec-"

// Exec runs one more process in a container. What has begun is brought to its end also when ctx ends.
func (e *Engine) Exec(ctx context.Context, id string, x engine.Exec) (int, error) {
	doing := "execute a command in container " + id
	own := e.in(context.WithoutCancel(ctx))
	task, process, err := e.execTarget(own, id, x)
	if err != nil {
		return 0, translate(err, doing)
	}
	name := execPrefix + rand.Text()
	dir := filepath.Join(e.Dir, name)
	defer os.RemoveAll(dir)
	stdin := &execStdin{from: x.Stdin, ready: make(chan struct{})}
	p, err := task.Exec(own, name, process, execIO(dir, x, stdin))
	if err != nil {
		close(stdin.ready)
		return 0, execError(err, doing)
	}
	stdin.close = func() error { return p.CloseIO(own, client.WithStdinCloser) }
	close(stdin.ready)
	defer func() { // the last: it takes away what is still under way
		clean, cancel := cleaning(own)
		defer cancel()
		if _, err := p.Delete(clean, client.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			e.Log.Warn().Err(err).Str("container", id).Msg("an executed process could not be removed")
		}
	}()
	exits, err := p.Wait(own)
	if err == nil {
		err = p.Start(own)
	}
	if err != nil {
		return 0, execError(err, doing)
	}
	ended := make(chan struct{})
	defer close(ended)
	go resize(own, p, x.Resize, ended)
	select {
	case <-ctx.Done():
		hangUp(own, task.Pid(), p, exits)
		return 0, ctx.Err()
	case status := <-exits:
		if err := status.Error(); err != nil {
			return 0, translate(err, doing)
		}
		return int(status.ExitCode()), awaitOutput(ctx, p.IO())
	}
}

// execTarget is the running container's task, and the process that is to be one more in it.
func (e *Engine) execTarget(ctx context.Context, id string, x engine.Exec) (client.Task, *specs.Process, error) {
	c, err := e.client.LoadContainer(ctx, nameOf(id))
	if errdefs.IsNotFound(err) {
		return nil, nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	task, err := c.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		return nil, nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	if status, err := task.Status(ctx); err != nil || status.Status != client.Running {
		return nil, nil, errors.Join(engine.ErrNotFound, err)
	}
	spec, err := c.Spec(ctx)
	if err != nil {
		return nil, nil, err
	}
	process := *spec.Process
	process.Args, process.Terminal, process.ConsoleSize = x.Command, x.TTY, nil
	if x.TTY {
		process.Env = append(slices.Clone(process.Env), "TERM=xterm")
	}
	return task, &process, nil
}

// execIO makes the named pipes between the shim and this process.
func execIO(dir string, x engine.Exec, stdin io.Reader) cio.Creator {
	orNone := func(w io.Writer) io.Writer {
		if w == nil {
			return io.Discard
		}
		return w
	}
	if x.Stdin == nil {
		stdin = nil
	}
	options := []cio.Opt{cio.WithStreams(stdin, orNone(x.Stdout), orNone(x.Stderr)), cio.WithFIFODir(dir)}
	if x.TTY {
		options = append(options, cio.WithTerminal)
	}
	return cio.NewCreator(options...)
}

// execStdin closes the process's standard input when what it reads from ends: the shim holds the pipe open too.
type execStdin struct {
	from  io.Reader
	ready chan struct{} // closed once close is set, or there is nothing to be closed
	close func() error
}

func (s *execStdin) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil {
		<-s.ready
		if s.close != nil {
			_ = s.close() // it fails when the process has ended
		}
	}
	return n, err
}

// awaitOutput returns when all that the process, and those that it left behind, printed has been taken.
func awaitOutput(ctx context.Context, streams cio.IO) error {
	taken := make(chan struct{})
	go func() {
		streams.Wait()
		close(taken)
	}()
	select {
	case <-taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resize follows the user's window until the process has ended.
func resize(ctx context.Context, p client.Process, sizes <-chan engine.Size, ended <-chan struct{}) {
	for {
		select {
		case size, more := <-sizes:
			if !more {
				return
			}
			_ = p.Resize(ctx, uint32(size.Width), uint32(size.Height)) // a wrong size is no reason to end
		case <-ended:
			return
		}
	}
}

// hangUp ends a process whose user has left, and what it has started in its process group.
func hangUp(ctx context.Context, containerPID uint32, p client.Process, exits <-chan client.ExitStatus) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGKILL} {
		signalGroup(containerPID, p.Pid(), s)
		_ = p.Kill(ctx, s) // it fails when the process has ended
		select {
		case <-exits:
			return
		case <-time.After(hangUpGrace):
		}
	}
}

// signalGroup signals the process group that the process leads. That its namespace is the container's makes sure
// that the number has not passed to somebody else.
func signalGroup(containerPID, pid uint32, s syscall.Signal) {
	namespace := func(pid uint32) string {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		return link
	}
	group, err := syscall.Getpgid(int(pid))
	if own := namespace(pid); err == nil && group == int(pid) && own != "" && own == namespace(containerPID) {
		_ = syscall.Kill(-group, s)
	}
}

// execError is translate for what the OCI runtime said of a command.
func execError(err error, doing string) error {
	if away := translate(err, doing); errors.Is(away, engine.ErrAway) {
		return away
	}
	return fmt.Errorf("%s: %w: %s", doing, engine.ErrStart, tidy(err))
}
