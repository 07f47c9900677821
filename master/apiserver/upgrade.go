package apiserver

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// Protocols that clients may speak once they have the connection.
const (
	protocolV4          = "v4.channel.k8s.io"
	protocolV5          = "v5.channel.k8s.io"
	protocolPortForward = "portforward.k8s.io"
	tunnelPrefix        = "SPDY/3.1+" // of a SPDY connection inside a WebSocket
	spdyUpgrade         = "SPDY/3.1"
	headerProtocol      = "X-Stream-Protocol-Version"
	headerAccepted      = "X-Accepted-Stream-Protocol-Versions"
)

// takeOver makes a client of the request's connection. After an error the request can still be answered.
func (c *call) takeOver(options *stream.ExecOptions) (client, error) {
	if c.asksFor("websocket") {
		ws, err := c.websocket(protocolV5, protocolV4)
		if err != nil {
			return nil, err
		}
		return newChannels(ws, options), nil
	}
	conn, err := c.spdy(protocolV4)
	if err != nil {
		return nil, err
	}
	return acceptStreams(conn, options)
}

// asksFor reports whether the request wants to go on in another protocol.
func (c *call) asksFor(protocol string) bool {
	return strings.EqualFold(c.r.Header.Get("Upgrade"), protocol) &&
		strings.Contains(strings.ToLower(c.r.Header.Get("Connection")), "upgrade")
}

// errNoUpgrade is the answer to a plain request.
func errNoUpgrade() error { return apierrors.NewBadRequest("Upgrade request required") }

func errNoHijack() error {
	return apierrors.NewBadRequest("the connection can't be upgraded; use HTTP/1.1")
}

// websocket answers the handshake, with the first protocol of ours that the client knows.
func (c *call) websocket(protocols ...string) (*websocket.Conn, error) {
	var asked []string
	for _, header := range c.r.Header["Sec-Websocket-Protocol"] {
		for _, p := range strings.Split(header, ",") {
			asked = append(asked, strings.TrimSpace(p))
		}
	}
	i := slices.IndexFunc(protocols, func(p string) bool { return slices.Contains(asked, p) })
	if i < 0 {
		return nil, unsupportedProtocol(asked, protocols)
	}
	conn, buffered, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return nil, errNoHijack()
	}
	c.taken()
	made := make(chan *websocket.Conn, 1)
	over := make(chan struct{})
	go func() {
		defer close(made)
		websocket.Server{
			Handshake: func(config *websocket.Config, _ *http.Request) error {
				config.Protocol = []string{protocols[i]}
				return nil
			},
			Handler: func(ws *websocket.Conn) { made <- ws; <-over }, // its return closes the connection
		}.ServeHTTP(hijacked{c.w, conn, buffered}, c.r)
	}()
	ws := <-made
	if ws == nil {
		close(over)
		panic(http.ErrAbortHandler) // the handshake was wrong, and has been answered
	}
	ws.MaxPayloadBytes = maxMessage
	ws.PayloadType = websocket.BinaryFrame
	ctx := c.ctx
	go func() { // the server ends the context with the handler
		<-ctx.Done()
		close(over)
	}()
	return ws, nil
}

// spdy answers the upgrade and returns the bare connection.
func (c *call) spdy(protocols ...string) (net.Conn, error) {
	if !c.asksFor(spdyUpgrade) {
		return nil, errNoUpgrade()
	}
	var asked []string
	for _, header := range c.r.Header[headerProtocol] {
		for _, p := range strings.Split(header, ",") {
			asked = append(asked, strings.TrimSpace(p))
		}
	}
	i := slices.IndexFunc(protocols, func(p string) bool { return slices.Contains(asked, p) })
	if i < 0 {
		c.w.Header()[headerAccepted] = protocols
		return nil, unsupportedProtocol(asked, protocols)
	}
	conn, buffered, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return nil, errNoHijack()
	}
	c.taken()
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n", spdyUpgrade, headerProtocol, protocols[i])
	if err != nil {
		conn.Close()
		panic(http.ErrAbortHandler)
	}
	return bufferedConn{conn, buffered.Reader}, nil
}

// taken notes that nothing more can be answered.
func (c *call) taken() {
	if r, ok := c.w.(*recorded); ok {
		r.begin(http.StatusSwitchingProtocols)
	}
}

func unsupportedProtocol(asked, known []string) error {
	return apierrors.NewBadRequest(fmt.Sprintf("unable to upgrade: unable to negotiate protocol: client supports %v, server accepts %v", asked, known))
}

// hijacked gives package websocket, which looks for an http.Hijacker, the connection that has been taken over.
type hijacked struct {
	http.ResponseWriter
	conn     net.Conn
	buffered *bufio.ReadWriter
}

// Hijack implements http.Hijacker.
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.buffered, nil }

// bufferedConn is a connection of which some bytes have been read ahead.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (b bufferedConn) Read(p []byte) (int, error) { return b.reader.Read(p) }
