package mqtt

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/protocol/seal"
)

// dial opens the transport: TCP, TLS or WebSocket.
func (b Broker) dial(ctx context.Context, pinned seal.CAHash) (net.Conn, error) {
	var secure *tls.Config
	if b.Encrypted() {
		secure = tlsConfig(b.url.Hostname(), pinned)
	}
	if b.url.Scheme == "ws" || b.url.Scheme == "wss" {
		u := b.url
		u.User = nil
		return paho.NewWebsocket(u.String(), secure, timeLeft(ctx), nil, nil)
	}
	dialer := net.Dialer{
		KeepAlive: -1, // probes every 15 s would cost more than heartbeats
		Control:   setUserTimeout,
	}
	conn, err := dialer.DialContext(ctx, "tcp", b.url.Host)
	if err != nil || secure == nil {
		return conn, err
	}
	client := tls.Client(conn, secure)
	if err := client.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return client, nil
}

// setUserTimeout makes the kernel give up a connection whose data is not acknowledged.
func setUserTimeout(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(stallTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}

func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return connectTimeout
	}
	return time.Until(deadline)
}
