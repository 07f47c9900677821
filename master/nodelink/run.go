package nodelink

import (
	"context"

	"github.com/skerry-edge/skerry/protocol/loop"
)

// Run calls Step whenever there is something to do, until the context ends.
func (l *Link) Run(ctx context.Context) error {
	return loop.Run(ctx, l.config.Clock, l.wake, l.Step)
}
