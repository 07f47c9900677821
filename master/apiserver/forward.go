package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/moby/spdystream"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// podPortForward is the portforward subresource of pods: SPDY, in a WebSocket or bare. For each connection the
// client opens two streams, one for the data and one for an error, with the same request id and port.
func (c *call) podPortForward() error {
	release, err := c.limits.watch()
	if err != nil {
		return err
	}
	defer release()
	pod, err := c.podWithNode()
	if err != nil {
		return err
	}
	var conn net.Conn
	if c.asksFor("websocket") {
		conn, err = c.websocket(tunnelPrefix + protocolPortForward)
	} else {
		conn, err = c.spdy(protocolPortForward)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	session, opened, err := serveSPDY(conn)
	if err != nil {
		return nil
	}
	c.log.Info().Str("user", c.user.name).Str("pod", pod.Namespace+"/"+pod.Name).Str("node", pod.Spec.NodeName).
		Str("kind", string(stream.PortForward)).Msg("session begins")
	ctx, stop := c.untilEnding()
	defer stop()
	pairs := map[string]*pair{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-session.CloseChan():
			return nil
		case one := <-opened:
			id := requestID(one)
			p := pairs[id]
			if p == nil && len(pairs) >= maxSPDYStreams {
				_ = one.Reset() // a client that opens halves only
				continue
			}
			if p == nil {
				p = &pair{}
				pairs[id] = p
			}
			if p.add(one) {
				delete(pairs, id)
				go c.forward(ctx, pod, p)
			}
		}
	}
}

// pair are the two streams of one connection.
type pair struct{ data, err *spdystream.Stream }

// add reports whether the pair is complete.
func (p *pair) add(one *spdystream.Stream) bool {
	switch one.Headers().Get(headerStream) {
	case "data":
		p.data = one
	case "error":
		p.err = one
	default:
		_ = one.Reset()
	}
	return p.data != nil && p.err != nil
}

// requestID names the connection that a stream belongs to. Clients that don't name it open the stream of errors
// first and that of data right after it.
func requestID(one *spdystream.Stream) string {
	if id := one.Headers().Get("requestID"); id != "" {
		return id
	}
	id := one.Identifier()
	if one.Headers().Get(headerStream) == "data" {
		id -= 2
	}
	return strconv.FormatUint(uint64(id), 10)
}

// forward serves one connection.
func (c *call) forward(ctx context.Context, pod *corev1.Pod, p *pair) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	text := p.data.Headers().Get("port")
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		err = fmt.Errorf("%q is no port", text)
	} else {
		err = c.forwardTo(ctx, pod, uint16(port), p.data)
	}
	if err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintf(p.err, "error forwarding port %s to pod %s, uid %s: %v", text, pod.Name, pod.UID, err)
	}
	_ = p.err.Close()
	if err != nil {
		_ = p.data.Reset()
	}
	// The client may still be taking what was sent; it closes its half when it has.
	_ = p.data.Close()
	time.AfterFunc(leaveTimeout, func() { _, _ = p.data.Reset(), p.err.Reset() })
}

func (c *call) forwardTo(ctx context.Context, pod *corev1.Pod, port uint16, data *spdystream.Stream) error {
	conn, err := c.openStream(ctx, pod, stream.Open{Kind: stream.PortForward, Port: port})
	if err != nil {
		return err
	}
	defer conn.Close(stream.End{})
	go func() {
		if err := pump(conn, data); err == nil {
			_ = conn.CloseWrite(stream.In)
		}
	}()
	for {
		_, piece, err := conn.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("node %s: %w", pod.Spec.NodeName, err)
		case len(piece) == 0:
			if err := data.Close(); err != nil {
				return err
			}
		default:
			if _, err := data.Write(piece); err != nil {
				return err
			}
		}
	}
}
