// Package loop is the shell around a loop that has a Step: it waits for a wake-up, for the moment that the last Step
// named, or for the end. Everything that decides anything is in the Step, which a simulation calls by itself.
package loop

import (
	"context"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Run calls step, with what source says is now, whenever something arrives on wake or the moment has come that the last
// call returned. It ends without an error when ctx does, and with the first error of step.
func Run(ctx context.Context, source clock.Source, wake <-chan struct{}, step func(clock.Now) (next clock.Now, err error)) error {
	for {
		now := source()
		next, err := step(now)
		if err != nil {
			return err
		}
		timer := time.NewTimer(next.Since(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}
