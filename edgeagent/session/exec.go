package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// Exec answers one stream of kind exec.
func Exec(ctx context.Context, e engine.Engine, open stream.Open, conn stream.Conn) {
	conn.Close(exec(ctx, e, open, conn))
}

func exec(ctx context.Context, e engine.Engine, open stream.Open, conn stream.Conn) stream.End {
	options := open.Exec
	if options == nil || len(options.Command) == 0 {
		return stream.End{Error: "you must specify at least one command for the container", Code: stream.BadRequest}
	}
	container, err := running(ctx, e, open.UID, open.Container)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-conn.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	x := engine.Exec{Command: options.Command, TTY: options.TTY}
	if options.Stdout {
		x.Stdout = channel{conn, stream.Out}
	}
	if options.Stderr {
		x.Stderr = channel{conn, stream.Err}
	}
	in := newInput(options.Stdin)
	defer in.close()
	go in.run(conn)
	if options.Stdin {
		x.Stdin = in.reader
	}
	if options.TTY {
		x.Resize = in.sizes
	}
	code, err := e.Exec(ctx, container.ID, x)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return stream.End{Error: fmt.Sprintf("container not found (%q)", open.Container), Code: stream.NotFound}
	case err != nil:
		return failed(err)
	case code != 0:
		return stream.End{Error: fmt.Sprintf("command terminated with exit code %d", code), Code: stream.Exited, Exit: code}
	}
	return stream.End{}
}

// running finds the newest run of a container that runs; of any container of the pod when none is named.
func running(ctx context.Context, e engine.Engine, uid, name string) (engine.Container, error) {
	list, err := e.List(ctx)
	if err != nil {
		return engine.Container{}, err
	}
	for _, c := range list {
		if c.Labels[engine.LabelPodUID] == uid && (name == "" || c.Labels[engine.LabelContainer] == name) && c.State == engine.Running {
			return c, nil
		}
	}
	if name == "" {
		return engine.Container{}, errNoContainer("no container of the pod runs")
	}
	return engine.Container{}, errNoContainer(fmt.Sprintf("container not found (%q)", name))
}

// errNoContainer says that there is nothing to have a session with.
type errNoContainer string

func (e errNoContainer) Error() string { return string(e) }

// failed is the end of a session that could not be.
func failed(err error) stream.End {
	end := stream.End{Error: err.Error()}
	if errors.As(err, new(errNoContainer)) {
		end.Code = stream.NotFound
	}
	return end
}

// channel writes to one channel of a stream.
type channel struct {
	conn   stream.Conn
	number byte
}

func (c channel) Write(data []byte) (int, error) {
	if err := c.conn.Write(c.number, data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// input takes apart what the user sends.
type input struct {
	stdin  bool
	reader *io.PipeReader
	writer *io.PipeWriter
	sizes  chan engine.Size // the newest
}

func newInput(stdin bool) *input {
	in := &input{stdin: stdin, sizes: make(chan engine.Size, 1)}
	in.reader, in.writer = io.Pipe()
	return in
}

// run reads until the stream is over.
func (in *input) run(conn stream.Conn) {
	for {
		number, data, err := conn.Read()
		if err != nil {
			in.writer.CloseWithError(io.ErrUnexpectedEOF)
			return
		}
		switch {
		case number == stream.In && len(data) == 0:
			in.writer.Close()
		case number == stream.In && in.stdin:
			_, _ = in.writer.Write(data) // what the process does not want is dropped
		case number == stream.Resize:
			if width, height, ok := stream.DecodeSize(data); ok {
				in.resize(engine.Size{Width: width, Height: height})
			}
		}
	}
}

// resize leaves the newest size; only run calls it.
func (in *input) resize(size engine.Size) {
	select {
	case <-in.sizes:
	default:
	}
	in.sizes <- size
}

// close frees run and whoever reads.
func (in *input) close() { in.reader.Close() }
