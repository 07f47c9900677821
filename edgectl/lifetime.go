package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// lifetime is a flag for how long something is good: as Go has durations, and in days.
type lifetime time.Duration

// String implements pflag.Value.
func (l *lifetime) String() string { return inWords(time.Duration(*l)) }

// Type implements pflag.Value.
func (l *lifetime) Type() string { return "duration" }

// Set implements pflag.Value.
func (l *lifetime) Set(text string) error {
	const day = 24 * time.Hour
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseInt(days, 10, 16); err == nil {
			*l = lifetime(time.Duration(n) * day)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no time: write 90m, 12h or 30d", text)
	}
	*l = lifetime(d)
	return nil
}

// inWords is a duration as people write it: 24h, not 24h0m0s.
func inWords(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
