package apiserver

import (
	"context"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// Streams opens streams to nodes: the one call between components; the wiring supplies it.
type Streams interface {
	// Open asks a node for a stream and returns when the request is on its way, not when the node has
	// answered: the Conn's Read tells. Closing the Conn is the caller's part; ctx ends it too. The error of a
	// node that can't be reached, or of too many streams, is a *stream.Error.
	Open(ctx context.Context, node string, open stream.Open) (stream.Conn, error)
}
