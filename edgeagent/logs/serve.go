package logs

import (
	"context"
	"errors"
	"time"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// Source knows where the logs are. The error of Log is for the user who asked; an error that wraps
// ErrNoContainer or ErrNotStarted is told apart.
type Source interface {
	Log(uid, container string, previous bool) (Place, error)
}

// Errors of a Source.
var (
	ErrNoContainer = errors.New("no such container on this node")
	ErrNotStarted  = errors.New("the container has not been started yet")
	ErrNoPrevious  = errors.New("the container has no previous run whose log is kept")
)

// Serve answers one stream of kind logs.
func Serve(ctx context.Context, source Source, open stream.Open, conn stream.Conn) {
	conn.Close(serve(ctx, source, open, conn))
}

func serve(ctx context.Context, source Source, open stream.Open, conn stream.Conn) stream.End {
	options := stream.LogOptions{}
	if open.Logs != nil {
		options = *open.Logs
	}
	place, err := source.Log(open.UID, open.Container, options.Previous)
	switch {
	case errors.Is(err, ErrNotStarted), errors.Is(err, ErrNoPrevious):
		return stream.End{Error: err.Error(), Code: stream.BadRequest}
	case err != nil:
		return stream.End{Error: err.Error(), Code: stream.NotFound}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the reader says nothing; when it leaves, there is no one to follow for
		_, _, _ = conn.Read()
		cancel()
	}()
	err = read(ctx, place, options, time.Now(), func(data []byte) error { return conn.Write(stream.Out, data) })
	if err != nil {
		return stream.End{Error: err.Error()}
	}
	return stream.End{}
}
