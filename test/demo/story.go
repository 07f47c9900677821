package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// story prints what happens: numbered steps with elapsed times, commands with what they print, and progress
// of what takes long.
type story struct {
	out   io.Writer
	begin time.Time
	steps []step
}

// step is one line of the summary.
type step struct {
	title string
	took  time.Duration
	ok    bool
}

func newStory(out io.Writer) *story { return &story{out: out, begin: time.Now()} }

// do runs one step and prints how long it took.
func (s *story) do(title string, run func() error) error {
	fmt.Fprintf(s.out, "\n[%6.1fs] %d. %s\n", time.Since(s.begin).Seconds(), len(s.steps)+1, title)
	start := time.Now()
	err := run()
	s.steps = append(s.steps, step{title, time.Since(start), err == nil})
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	return nil
}

// say prints a line of the story.
func (s *story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "          "+format+"\n", args...)
}

// shell prints a command as a user would type it, and what it printed.
func (s *story) shell(command, output string) {
	s.say("$ %s", command)
	for line := range strings.Lines(strings.TrimRight(output, "\n")) {
		s.say("  %s", strings.TrimRight(line, "\n"))
	}
}

// until waits for a condition and prints what it sees every few seconds.
func (s *story) until(what string, limit time.Duration, check func() (ok bool, seen string)) (time.Duration, error) {
	const pause, every = 100 * time.Millisecond, 5 * time.Second
	start, told := time.Now(), time.Now()
	for {
		ok, seen := check()
		took := time.Since(start)
		switch {
		case ok:
			return took, nil
		case took > limit:
			return took, fmt.Errorf("%s: not so after %s; last seen: %s", what, limit, seen)
		case time.Since(told) >= every:
			told = time.Now()
			s.say("… %2.0f s, waiting: %s (now: %s)", took.Seconds(), what, seen)
		}
		time.Sleep(pause)
	}
}

// summary prints all steps and the facts, and says how it ended.
func (s *story) summary(facts []string, err error) {
	fmt.Fprintf(s.out, "\nSummary after %.1f s\n", time.Since(s.begin).Seconds())
	for i, step := range s.steps {
		mark := "ok"
		if !step.ok {
			mark = "FAILED"
		}
		fmt.Fprintf(s.out, "  %-6s %6.1fs  %d. %s\n", mark, step.took.Seconds(), i+1, step.title)
	}
	for _, fact := range facts {
		fmt.Fprintf(s.out, "  %s\n", fact)
	}
	if err != nil {
		fmt.Fprintf(s.out, "The demo FAILED: %v\n", err)
		return
	}
	fmt.Fprintln(s.out, "The demo went through: the node was lost, its workload was not.")
}
