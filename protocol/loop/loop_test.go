package loop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// A Step happens at once, when its moment has come, and when it is woken; the end and an error end the loop.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		source := func() clock.Now { return clock.Now{Boot: time.Since(began)} }
		wake := make(chan struct{}, 1)
		var at []time.Duration
		failure := errors.New("broken")
		err := Run(t.Context(), source, wake, func(now clock.Now) (clock.Now, error) {
			at = append(at, now.Boot)
			switch len(at) {
			case 1:
				return now.Add(10 * time.Second), nil
			case 2:
				time.AfterFunc(3*time.Second, func() { wake <- struct{}{} })
				return clock.Never, nil
			}
			return clock.Never, failure
		})
		if diff := cmp.Diff([]time.Duration{0, 10 * time.Second, 13 * time.Second}, at); diff != "" || !errors.Is(err, failure) {
			t.Errorf("%v\n%s", err, diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := Run(ctx, source, wake, func(clock.Now) (clock.Now, error) { return clock.Never, nil }); err != nil {
			t.Errorf("at the end: %v", err)
		}
	})
}
