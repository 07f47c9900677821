package main

import (
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	maxLine = 2048 // below PIPE_BUF, so that a pipe takes it whole or not at all
)

// logger writes a line of JSON for each event. A line that its reader has no room for is lost: the guard waits for nobody.
type logger struct{ fd int }

// line logs one event; group and deadline are left out when they are empty.
func (l *logger) line(level, message, group string, deadline time.Duration) {
	b := make([]byte, 0, 256)
	b = append(append(b, `{"level":"`...), level...)
	if b = append(b, '"'); group != "" {
		b = appendJSON(append(b, `,"group":`...), group)
	}
	if deadline > 0 {
		b = append(b, `,"deadline":"`...)
		b = append(append(b, deadline.String()...), '"')
	}
	b = append(b, `,"time":"`...)
	var now syscall.Timeval
	_ = syscall.Gettimeofday(&now)
	b = appendTime(b, now.Nano()/1e6)
	b = appendJSON(append(b, `","message":`...), message)
	b = append(b, '}', '\n')
	if ready := (pollFD{fd: int32(l.fd), events: pollOut}); len(b) <= maxLine && poll(unsafe.Slice(&ready, 1), 0) == nil && ready.got&pollOut != 0 {
		_, _ = syscall.Write(l.fd, b)
	}
}

// appendTime appends milliseconds since 1970 as the other daemons write them: 2026-01-02T15:04:05.006Z. Package time would
// bring in time zones.
func appendTime(b []byte, ms int64) []byte {
	const day = 24 * 60 * 60 * 1000
	days, ms := ms/day, ms%day
	// Years of 365.2425 days that begin in March, so that the leap day is the last; see Howard Hinnant, "chrono-Compatible
	// Low-Level Date Algorithms". 719468 days are between 0000-03-01 and 1970-01-01.
	days += 719468
	era, of := days/146097, days%146097
	year := (of - of/1460 + of/36524 - of/146096) / 365
	of -= 365*year + year/4 - year/100
	month := (5*of + 2) / 153
	of -= (153*month + 2) / 5
	year += 400 * era
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, month, 2), '-')
	b = append(appendDigits(b, of+1, 2), 'T')
	b = append(appendDigits(b, ms/3_600_000, 2), ':')
	b = append(appendDigits(b, ms/60_000%60, 2), ':')
	b = append(appendDigits(b, ms/1000%60, 2), '.')
	return append(appendDigits(b, ms%1000, 3), 'Z')
}

func appendDigits(b []byte, n int64, digits int) []byte {
	for range digits {
		b = append(b, '0')
	}
	for i := len(b) - 1; digits > 0; i, digits = i-1, digits-1 {
		b[i] += byte(n % 10)
		n /= 10
	}
	return b
}

// appendJSON appends a text as a JSON string. What isn't printable ASCII becomes a question mark: paths and system
// errors are all that comes here.
func appendJSON(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range min(len(text), maxLine/4) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// list is numbers as text, a few of them.
func list(numbers []int) string {
	var b []byte
	for i, n := range numbers {
		if i == 8 {
			return string(append(b, " and more"...))
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}
