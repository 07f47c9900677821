package apiserver

import (
	"encoding/json"
	"errors"
	"io"
	"sync"

	"golang.org/x/net/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// maxMessage is the largest message that a client may send, in bytes. kubectl's have 32 KiB.
const maxMessage = 1 << 20

// Channels of the protocol beside those of package stream.
const (
	channelError = 3
	channelClose = 255 // version 5: the channel that follows ends
)

// channels is a client that speaks v4.channel.k8s.io or v5.channel.k8s.io: each message begins with its channel.
type channels struct {
	ws      *websocket.Conn
	options *stream.ExecOptions
	mu      sync.Mutex // of writing
}

func newChannels(ws *websocket.Conn, options *stream.ExecOptions) *channels {
	u := &channels{ws: ws, options: options}
	_ = u.send(stream.Out, nil) // clients wait for a first message; if it can't be sent, receive fails
	return u
}

// receive implements client. Reading answers the client's pings, too.
func (u *channels) receive(to stream.Conn) error {
	for {
		var data []byte
		if err := websocket.Message.Receive(u.ws, &data); err != nil {
			return err
		}
		if len(data) == 0 {
			continue
		}
		channel, data := data[0], data[1:]
		var err error
		switch {
		case channel == stream.In && u.options.Stdin && len(data) > 0:
			err = to.Write(stream.In, data)
		case channel == channelClose && len(data) == 1 && data[0] == stream.In:
			err = to.CloseWrite(stream.In)
		case channel == stream.Resize:
			var size terminalSize
			if json.Unmarshal(data, &size) == nil {
				err = resized(to, size)
			}
		}
		if err != nil {
			return u.drain() // the node has ended the stream; the user is still there to be told
		}
	}
}

// drain reads on until the client leaves.
func (u *channels) drain() error {
	for {
		var data []byte
		if err := websocket.Message.Receive(u.ws, &data); err != nil {
			return err
		}
	}
}

// send implements client.
func (u *channels) send(channel byte, data []byte) error {
	message := make([]byte, 0, len(data)+1)
	message = append(append(message, channel), data...)
	u.mu.Lock()
	defer u.mu.Unlock()
	return websocket.Message.Send(u.ws, message)
}

// finish implements client.
func (u *channels) finish(status *metav1.Status) error {
	return errors.Join(u.send(channelError, encodeStatus(status)), u.ws.Close())
}

// close implements client.
func (u *channels) close() { u.ws.Close() }

// isEOF reports whether a stream has finished as it should.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
