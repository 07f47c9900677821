package pod

import "time"

// The kubelet's numbers for containers that end and images that can't be pulled.
const (
	backoffFirst = 10 * time.Second
	backoffMax   = 5 * time.Minute
	// BackoffReset is how long a container has to run for its earlier ends to be forgotten.
	BackoffReset = 10 * time.Minute
)

// RestartDelay is how long after its end a container that has ended so many times in a row waits: not at all
// after the first, then 10 s, doubling up to 5 min.
func RestartDelay(ends int) time.Duration { return RetryDelay(ends - 1) }

// RetryDelay is how long to wait after so many failures in a row: 10 s after the first, doubling up to 5 min.
func RetryDelay(failures int) time.Duration {
	if failures < 1 {
		return 0
	}
	delay := backoffFirst
	for ; failures > 1 && delay < backoffMax; failures-- {
		delay *= 2
	}
	return min(delay, backoffMax)
}
