package agent

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/skerry-edge/skerry/edgeagent/logs"
	"github.com/skerry-edge/skerry/edgeagent/session"
	"github.com/skerry-edge/skerry/edgeagent/usage"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// serveStream answers a stream that the master opened.
func (a *Agent) serveStream(ctx context.Context, _ string, open stream.Open, conn stream.Conn) {
	source := logSource{root: a.logRoot, statuses: a.reconciler.Statuses}
	switch open.Kind {
	case stream.Logs:
		logs.Serve(ctx, source, open, conn)
	case stream.Attach:
		// What a container prints goes through its log, also for whoever looks on; it has no input.
		var none int64
		open.Logs = &stream.LogOptions{Follow: true, Tail: &none}
		logs.Serve(ctx, source, open, conn)
	case stream.Exec:
		session.Exec(ctx, a.runtime.engine, open, conn)
	case stream.PortForward:
		session.Forward(ctx, a.runtime.engine, a.runtime.dial, open, conn)
	case stream.Usage:
		usage.Serve(ctx, a.runtime.engine, open, conn)
	default:
		conn.Close(stream.End{Error: fmt.Sprintf("this node's agent does not know streams of kind %q", open.Kind), Code: stream.BadRequest})
	}
}

// dialFake stands for the network that fake containers don't have.
func dialFake(context.Context, int, uint16) (net.Conn, error) {
	return nil, errors.New("containers of the fake engine have no network")
}
