package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// Dial connects to a port of the loopback interface that a process sees.
type Dial func(ctx context.Context, pid int, port uint16) (net.Conn, error)

// closer is the half of a connection that can be ended alone.
type closer interface{ CloseWrite() error }

// Forward answers one stream of kind port-forward: one connection.
func Forward(ctx context.Context, e engine.Engine, dial Dial, open stream.Open, conn stream.Conn) {
	conn.Close(forward(ctx, e, dial, open, conn))
}

func forward(ctx context.Context, e engine.Engine, dial Dial, open stream.Open, conn stream.Conn) stream.End {
	if open.Port == 0 {
		return stream.End{Error: "port 0 can't be forwarded", Code: stream.BadRequest}
	}
	container, err := running(ctx, e, open.UID, "")
	if err != nil {
		return failed(err)
	}
	to, err := dial(ctx, container.PID, open.Port)
	if err != nil {
		return failed(fmt.Errorf("failed to connect to localhost:%d inside the pod: %w", open.Port, err))
	}
	defer to.Close()
	go func() { // frees both copies
		select {
		case <-conn.Done():
		case <-ctx.Done():
		}
		to.Close()
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(to, conn)
	}()
	_, err = io.Copy(channel{conn, stream.Out}, to)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return failed(err)
	}
	if conn.CloseWrite(stream.Out) != nil {
		return stream.End{}
	}
	select { // the other half may go on
	case <-sent:
	case <-ctx.Done():
	}
	return stream.End{}
}

// send writes what the user sends to the connection, until the user sends no more.
func send(to net.Conn, conn stream.Conn) {
	for {
		number, data, err := conn.Read()
		switch {
		case err != nil:
			return
		case number != stream.In:
		case len(data) == 0:
			if half, ok := to.(closer); ok {
				_ = half.CloseWrite()
			}
			return
		default:
			if _, err := to.Write(data); err != nil {
				return
			}
		}
	}
}
