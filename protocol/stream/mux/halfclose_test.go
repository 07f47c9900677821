package mux

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// An end that sends no more on a channel still gets the answer to what it sent, and the end of it.
func TestHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			var all []byte
			for {
				channel, data, err := conn.Read()
				if err != nil {
					t.Errorf("after %d bytes: %v", len(all), err)
					return
				}
				if len(data) == 0 {
					if channel != stream.In {
						t.Errorf("channel %d was closed, want In", channel)
					}
					break
				}
				all = append(all, data...)
			}
			conn.Write(stream.Out, all)
			conn.Close(stream.End{Error: "command terminated with exit code 3", Code: stream.Exited, Exit: 3})
		})
		conn := p.open(t)
		want := string(make([]byte, 3*stream.Window))
		if err := conn.Write(stream.In, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(stream.In); err != nil {
			t.Fatal(err)
		}
		got, err := readAll(conn)
		var ended *stream.Error
		if string(got) != want || !errors.As(err, &ended) || ended.Exit != 3 {
			t.Errorf("got %d bytes, %v; want %d and exit code 3", len(got), err, len(want))
		}
	})
}

// Whoever only waits learns of the end without reading, from either side.
func TestDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{})
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			<-conn.Done()
			close(told)
		})
		conn := p.open(t)
		synctest.Wait()
		select {
		case <-told:
			t.Fatal("done before the end")
		case <-conn.Done():
			t.Fatal("done before the end")
		default:
		}
		if err := conn.Write(stream.In, []byte("unread")); err != nil {
			t.Fatal(err)
		}
		conn.Close(stream.End{})
		<-told
		<-conn.Done()
	})
}
