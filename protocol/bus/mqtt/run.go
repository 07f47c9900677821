package mqtt

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// quietFor is how long the same failure is not logged again.
const quietFor = 10 * time.Minute

// Run keeps the bus connected until ctx ends.
func (b *Bus) Run(ctx context.Context) error {
	var (
		tries   int    // since the last stable connection
		turn    int    // which broker
		number  uint64 // of connections, including those that MQTT refused
		logged  string
		logTime time.Time
	)
	for ctx.Err() == nil {
		attempts := b.alternatives()
		broker := attempts[turn%len(attempts)]
		began := time.Now()
		err := b.attempt(ctx, broker, &number)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errSameBroker) {
			b.disconnected(err)
			continue
		}
		stable := time.Since(began) > stableAfter
		if stable {
			tries = 0
		}
		if !stable || errors.Is(err, errNextBroker) {
			turn++
		}
		err = explain(broker, err)
		b.disconnected(err)
		if err.Error() != logged || time.Since(logTime) > quietFor {
			b.config.Log.Warn().Err(err).Msg("no connection to the broker")
			logged, logTime = err.Error(), time.Now()
		}
		if turn%len(attempts) != 0 {
			continue // the others first
		}
		pause := backoff(tries, b.config.BackoffCap(), rand.Float64())
		tries++
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	b.disconnected(context.Canceled)
	return nil
}

// attempt makes one connection and serves it until it ends.
func (b *Bus) attempt(ctx context.Context, broker Broker, number *uint64) error {
	l, err := b.connect(ctx, broker, number)
	if refusesAccount(err) && b.turnPassword(broker) {
		l, err = b.connect(ctx, broker, number)
	}
	if err != nil {
		return err
	}
	b.config.Log.Info().Str("broker", broker.String()).Uint64("connection", *number).Msg("connected to the broker")
	b.connected(*number)
	return l.serve(ctx, b)
}

// backoff is a pause chosen evenly between nothing and a bound that doubles from one second to the cap ("full
// jitter"), so that a thousand nodes don't come back in step. random is from [0, 1).
func backoff(tries int, longest time.Duration, random float64) time.Duration {
	bound := time.Second << min(tries, 16)
	return time.Duration(random * float64(min(bound, longest)))
}
