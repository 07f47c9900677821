package nodelink

import (
	"context"
	"time"
)

// Run calls Step whenever there is something to do, until the context ends.
func (l *Link) Run(ctx context.Context) error {
	for {
		now := l.config.Clock()
		next, err := l.Step(now)
		if err != nil {
			return err
		}
		timer := time.NewTimer(next.Since(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}
