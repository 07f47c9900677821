package lab

import (
	"fmt"
	"time"
)

// Until asks for a condition again and again until it holds, and returns how long that took. check returns
// what it sees now, in words, for the error when limit has passed.
func Until(what string, limit time.Duration, check func() (ok bool, seen string)) (time.Duration, error) {
	const pause = 50 * time.Millisecond
	begin := time.Now()
	for {
		ok, seen := check()
		took := time.Since(begin)
		if ok {
			return took, nil
		}
		if took > limit {
			return took, fmt.Errorf("%s: not so after %s; last seen: %s", what, limit, seen)
		}
		time.Sleep(pause)
	}
}
