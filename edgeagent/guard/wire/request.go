package wire

import (
	"errors"
	"path"
	"strconv"
	"strings"
	"time"
)

// MaxRequest and MaxAnswer are the longest lines, with their line end.
const (
	MaxRequest = 512
	MaxAnswer  = 1024
	maxGroup   = 400
)

// What can be asked.
const (
	Arm    = "arm"
	Disarm = "disarm"
	Ask    = "state"
)

// Request is what a client asks of the guard.
type Request struct {
	Verb     string
	Group    string        // path of a cgroup, the same in every hierarchy
	Deadline time.Duration // of CLOCK_BOOTTIME; for Arm alone
}

// Line is the request as it is sent.
func (r Request) Line() []byte {
	b := append(make([]byte, 0, MaxRequest), r.Verb...)
	if r.Verb == Arm {
		b = strconv.AppendInt(append(b, ' '), int64(r.Deadline), 10)
	}
	b = append(append(b, ' '), r.Group...)
	return append(b, '\n')
}

// ParseRequest reads a line without its end.
func ParseRequest(line string) (Request, error) {
	verb, rest, _ := strings.Cut(line, " ")
	r := Request{Verb: verb, Group: rest}
	switch verb {
	case Disarm, Ask:
	case Arm:
		number, group, _ := strings.Cut(rest, " ")
		ns, err := strconv.ParseInt(number, 10, 64)
		if err != nil || ns <= 0 {
			return Request{}, errors.New("arm: the deadline is to be nanoseconds since boot")
		}
		r.Group, r.Deadline = group, time.Duration(ns)
	default:
		return Request{}, errors.New("unknown request: expected arm, disarm or state")
	}
	return r, CheckGroup(r.Group)
}

// CheckGroup says what is wrong with the path of a group. Everything below it will be killed, so a slip must not name
// the root, or a group of the system: it lies below one of Skerry's own, /skerry-….
func CheckGroup(group string) error {
	switch {
	case len(group) > maxGroup:
		return errors.New("group: longer than " + strconv.Itoa(maxGroup) + " bytes")
	case group != path.Clean(group) || !strings.HasPrefix(group, "/skerry-") || strings.Count(group, "/") < 2:
		return errors.New("group: expected the clean path of a cgroup below /skerry-…, as /skerry-1a2b3c4d/stop")
	}
	for i := range len(group) {
		if c := group[i]; c <= ' ' || c >= 0x7f {
			return errors.New("group: only printable ASCII without spaces is allowed")
		}
	}
	return nil
}
