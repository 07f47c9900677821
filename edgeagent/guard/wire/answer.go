package wire

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// How an answer begins.
const (
	OK      = "ok"
	Busy    = "busy"    // not now: ask again later
	Refused = "refused" // not at all
)

// maxStuck is how many processes an answer names.
const maxStuck = 32

// State is what the guard knows of a group.
type State struct {
	Armed    bool
	Deadline time.Duration // of CLOCK_BOOTTIME; zero when not armed
	// Fired: the deadline has passed, and when the guard looked last nothing was left in the group.
	Fired bool
	// Stuck are processes that were neither dead nor frozen 2 s after they were to end; at most 32 are named.
	Stuck []int
	// Watchdog: there is a hardware watchdog to restart the board with, should something be stuck.
	Watchdog bool
	// Rebooting: it was set off. Nothing takes that back.
	Rebooting bool
}

// Answer is what the guard says.
type Answer struct {
	Code  string // OK, Busy or Refused
	Why   string // not with OK
	State State  // with OK
}

// Line is the answer as it is sent.
func (a Answer) Line() []byte {
	b := append(make([]byte, 0, MaxAnswer), a.Code...)
	if a.Code != OK {
		b = append(append(b, ' '), strings.ReplaceAll(a.Why, "\n", "; ")...)
		return append(b[:min(len(b), MaxAnswer-1)], '\n')
	}
	b = appendFlag(b, "armed", a.State.Armed)
	b = strconv.AppendInt(append(b, " deadline="...), int64(a.State.Deadline), 10)
	b = appendFlag(b, "fired", a.State.Fired)
	b = appendFlag(b, "watchdog", a.State.Watchdog)
	b = appendFlag(b, "rebooting", a.State.Rebooting)
	b = append(b, " stuck="...)
	for i, pid := range a.State.Stuck[:min(len(a.State.Stuck), maxStuck)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(pid), 10)
	}
	return append(b, '\n')
}

func appendFlag(b []byte, key string, value bool) []byte {
	digit := byte('0')
	if value {
		digit = '1'
	}
	b = append(append(b, ' '), key...)
	return append(b, '=', digit)
}

// ParseAnswer reads a line without its end.
func ParseAnswer(line string) (Answer, error) {
	code, rest, _ := strings.Cut(line, " ")
	a := Answer{Code: code}
	switch code {
	case Busy, Refused:
		a.Why = rest
		return a, nil
	case OK:
	default:
		return Answer{}, errors.New("the answer is none of skerry-guard's")
	}
	for word := range strings.FieldsSeq(rest) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return Answer{}, errors.New("the answer has a word without a value")
		}
		if err := a.State.set(key, value); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

func (s *State) set(key, value string) (err error) {
	switch key {
	case "armed":
		s.Armed, err = parseFlag(value)
	case "deadline":
		var ns int64
		ns, err = strconv.ParseInt(value, 10, 64)
		s.Deadline = time.Duration(ns)
	case "fired":
		s.Fired, err = parseFlag(value)
	case "watchdog":
		s.Watchdog, err = parseFlag(value)
	case "rebooting":
		s.Rebooting, err = parseFlag(value)
	case "stuck":
		for number := range strings.SplitSeq(value, ",") {
			if number == "" {
				continue
			}
			pid, err := strconv.Atoi(number)
			if err != nil {
				return errors.New("stuck in the answer is no list of processes")
			}
			s.Stuck = append(s.Stuck, pid)
		}
	}
	if err != nil {
		return errors.New(key + " in the answer can't be read")
	}
	return nil
}

func parseFlag(value string) (bool, error) {
	if value != "0" && value != "1" {
		return false, errors.New("neither 0 nor 1")
	}
	return value == "1", nil
}
