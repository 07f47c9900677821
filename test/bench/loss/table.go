package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// measurement is what a scenario has given.
type measurement struct {
	scenario
	mu    sync.Mutex
	times []time.Duration
	err   error
}

// note takes in what one fleet has measured.
func (m *measurement) note(times []time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.times = append(m.times, times...)
	if err != nil {
		m.err = errors.Join(m.err, fmt.Errorf("%s: %w", m.what, err))
	}
}

// percentile is the smallest time that so many of a hundred don't exceed.
func percentile(sorted []time.Duration, of int) time.Duration {
	return sorted[(len(sorted)*of+99)/100-1]
}

// printTable writes Markdown for docs/node-loss.md.
func printTable(out io.Writer, all []*measurement, at time.Time) {
	fmt.Fprintf(out, "Measured on %s, on %s.\n\n", at.UTC().Format("2006-01-02"), machine())
	fmt.Fprintln(out, "| loss | runs | p50 | p99 | longest | budget |\n| --- | --- | --- | --- | --- | --- |")
	for _, m := range all {
		if len(m.times) == 0 {
			fmt.Fprintf(out, "| %s | 0 | | | | %s |\n", m.what, m.budget)
			continue
		}
		slices.Sort(m.times)
		fmt.Fprintf(out, "| %s | %d | %.1f s | %.1f s | %.1f s | %s |\n", m.what, len(m.times), percentile(m.times, 50).Seconds(),
			percentile(m.times, 99).Seconds(), m.times[len(m.times)-1].Seconds(), m.budget)
	}
}

// machine is what it ran on.
func machine() string {
	kernel := "an unknown kernel"
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = "Linux " + strings.TrimSpace(string(text))
	}
	return fmt.Sprintf("%d cores of %s, %s, all hosts on one machine", runtime.NumCPU(), runtime.GOARCH, kernel)
}
