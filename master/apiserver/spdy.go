package apiserver

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/moby/spdystream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/protocol/stream"
)

const (
	streamsTimeout = 30 * time.Second // to open the streams that were announced
	leaveTimeout   = 5 * time.Second  // to close the connection after the end
	maxSPDYStreams = 256              // that wait to be looked at
	headerStream   = "streamType"
)

// errLeft is what reading ends with when the user has left.
var errLeft = errors.New("the client has closed the connection")

// serveSPDY runs a SPDY connection. Streams that the client opens come out of the channel, answered.
func serveSPDY(conn net.Conn) (*spdystream.Connection, <-chan *spdystream.Stream, error) {
	s, err := spdystream.NewConnection(conn, true)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	opened := make(chan *spdystream.Stream, maxSPDYStreams)
	go s.Serve(func(one *spdystream.Stream) {
		select {
		case opened <- one:
			_ = one.SendReply(http.Header{}, false) // if it fails the connection is at its end
		default:
			_ = one.Refuse()
		}
	})
	return s, opened, nil
}

// spdyClient is a client that speaks v4.channel.k8s.io over SPDY: one stream for each channel.
type spdyClient struct {
	conn    net.Conn
	session *spdystream.Connection
	streams map[string]*spdystream.Stream
}

// acceptStreams waits for the streams that the options make the client open.
func acceptStreams(conn net.Conn, options *stream.ExecOptions) (client, error) {
	session, opened, err := serveSPDY(conn)
	if err != nil {
		panic(http.ErrAbortHandler) // nobody is left to be told
	}
	u := &spdyClient{conn: conn, session: session, streams: map[string]*spdystream.Stream{}}
	wanted := map[string]bool{"error": true, "stdin": options.Stdin, "stdout": options.Stdout, "stderr": options.Stderr, "resize": options.TTY}
	left := 0
	for _, is := range wanted {
		if is {
			left++
		}
	}
	timeout := time.NewTimer(streamsTimeout)
	defer timeout.Stop()
	for left > 0 {
		select {
		case one := <-opened:
			name := one.Headers().Get(headerStream)
			if !wanted[name] {
				_ = one.Reset()
				continue
			}
			wanted[name] = false
			u.streams[name] = one
			left--
		case <-session.CloseChan():
			u.close()
			panic(http.ErrAbortHandler)
		case <-timeout.C:
			u.close()
			panic(http.ErrAbortHandler)
		}
	}
	return u, nil
}

// receive implements client.
func (u *spdyClient) receive(to stream.Conn) error {
	var copies sync.WaitGroup
	if stdin := u.streams["stdin"]; stdin != nil {
		copies.Go(func() {
			if pump(to, stdin) == nil && !u.left() {
				_ = to.CloseWrite(stream.In)
			}
		})
	}
	if sizes := u.streams["resize"]; sizes != nil {
		copies.Go(func() {
			for decoder := json.NewDecoder(sizes); ; {
				var size terminalSize
				if decoder.Decode(&size) != nil || resized(to, size) != nil {
					return
				}
			}
		})
	}
	<-u.session.CloseChan()
	return errLeft
}

// left reports whether the connection is over: then the end of a stream is not its own.
func (u *spdyClient) left() bool {
	select {
	case <-u.session.CloseChan():
		return true
	default:
		return false
	}
}

// pump sends on what comes until its end.
func pump(to stream.Conn, from io.Reader) error {
	buffer := make([]byte, stream.MaxData)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if err := to.Write(stream.In, buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send implements client.
func (u *spdyClient) send(channel byte, data []byte) error {
	name := map[byte]string{stream.Out: "stdout", stream.Err: "stderr"}[channel]
	one := u.streams[name]
	if one == nil {
		return nil
	}
	_, err := one.Write(data)
	return err
}

// finish implements client: it waits a little until the client has taken all and closes the connection itself.
func (u *spdyClient) finish(status *metav1.Status) error {
	_, err := u.streams["error"].Write(encodeStatus(status))
	for _, name := range []string{"stdout", "stderr", "error"} {
		if one := u.streams[name]; one != nil {
			err = errors.Join(err, one.Close())
		}
	}
	select {
	case <-u.session.CloseChan():
	case <-time.After(leaveTimeout):
	}
	return err
}

// close implements client.
func (u *spdyClient) close() {
	for _, one := range u.streams {
		_ = one.Reset() // frees whoever reads
	}
	u.conn.Close()
}
