package etcdsync

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"
	"time"
)

// The client tries again by itself until its time is over, and then says only that. To tell people more, the members
// are called once, without the client.

const (
	callLimit   = time.Second
	listenLimit = 200 * time.Millisecond // for a server to say that it refuses a certificate
)

// diagnose says why etcd does not answer, if no member can be reached at all and the reason is known.
func diagnose(ctx context.Context, server Server, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err
	}
	var first error
	for _, endpoint := range server.Endpoints {
		problem := call(ctx, server, endpoint)
		if problem == nil {
			return err // somebody is there
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", endpoint, problem)
		}
	}
	if first == nil {
		return err
	}
	return explain(first)
}

// call connects to one member.
func call(ctx context.Context, server Server, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(bounded, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	if server.TLS == nil {
		// Nothing is sent: all that counts is whether it speaks TLS.
		if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(bounded) == nil {
			return errors.New("etcd speaks TLS there; write https:// in --etcd")
		}
		return nil
	}
	config := server.TLS.Clone()
	config.ServerName, config.NextProtos = u.Hostname(), []string{"h2"}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(bounded); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return errors.New("it closes the connection, as an etcd without TLS does; write http:// in --etcd, or turn TLS on in etcd")
		}
		return err
	}
	// A server that refuses the client's certificate says so after the handshake, one that doesn't begins to talk.
	if err := conn.SetDeadline(time.Now().Add(listenLimit)); err != nil {
		return err
	}
	if _, err := secure.Read(make([]byte, 1)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		}
		return err
	}
	return nil
}
