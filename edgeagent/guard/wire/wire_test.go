package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What one side writes the other reads.
func TestRequestsAndAnswers(t *testing.T) {
	for _, want := range []Request{
		{Verb: Arm, Group: "/skerry-1a2b3c4d/stop", Deadline: 83 * time.Second},
		{Verb: Disarm, Group: "/skerry-1a2b3c4d/stop"},
		{Verb: Ask, Group: "/skerry-1a2b3c4d/" + strings.Repeat("x", 380)},
	} {
		line := want.Line()
		if len(line) > MaxRequest || line[len(line)-1] != '\n' {
			t.Errorf("the line is %q", line)
		}
		got, err := ParseRequest(strings.TrimSuffix(string(line), "\n"))
		if err != nil || got != want {
			t.Errorf("%q is read as %+v, %v", line, got, err)
		}
	}
	many := make([]int, 100)
	for i := range many {
		many[i] = 4194304
	}
	for _, want := range []Answer{
		{Code: OK},
		{Code: OK, State: State{Armed: true, Deadline: 1<<63 - 1, Fired: true, Watchdog: true, Rebooting: true, Stuck: many[:32]}},
		{Code: Busy, Why: "processes are in it: 1, 2"},
		{Code: Refused, Why: "the deadline has passed"},
	} {
		line := want.Line()
		if len(line) > MaxAnswer {
			t.Errorf("the answer has %d bytes", len(line))
		}
		got, err := ParseAnswer(strings.TrimSuffix(string(line), "\n"))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", line, err, diff)
		}
	}
	if line := (Answer{Code: OK, State: State{Stuck: many}}).Line(); len(line) > MaxAnswer {
		t.Errorf("an answer with many processes has %d bytes", len(line))
	}
	if line := (Answer{Code: Refused, Why: strings.Repeat("a\n", MaxAnswer)}).Line(); len(line) != MaxAnswer || strings.Count(string(line), "\n") != 1 {
		t.Errorf("a long refusal is %q", line)
	}
}

// A key of a later version does no harm.
func TestUnknownKeysAreLeftOut(t *testing.T) {
	a, err := ParseAnswer("ok armed=1 colour=blue deadline=5")
	if want := (State{Armed: true, Deadline: 5}); err != nil || !cmp.Equal(a.State, want) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestRefusedLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                              "unknown request",
		"fire /skerry-a/stop":           "unknown request",
		"arm":                           "deadline",
		"arm /skerry-a/stop":            "deadline",
		"arm -1 /skerry-a/stop":         "deadline",
		"arm 9223372036854775808 /x":    "deadline",
		"arm 1 ":                        "group",
		"disarm /":                      "group",
		"disarm /system.slice/x":        "group",
		"disarm /skerry-a":              "group",
		"disarm skerry-a/stop":          "group",
		"disarm /skerry-a/../etc":       "group",
		"disarm /skerry-a/../../x/stop": "group",
		"disarm /skerry-a/stop/":        "group",
		"disarm /skerry-a/st op":        "group",
		"disarm /skerry-a/st\x00op":     "group",
		"disarm /skerry-a/" + strings.Repeat("x", 400): "group",
	} {
		if r, err := ParseRequest(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %+v, %v; want an error with %q", line, r, err, want)
		}
	}
	for _, line := range []string{"", "yes", "ok armed", "ok armed=2", "ok deadline=x", "ok stuck=1,x", "ok fired=true"} {
		if a, err := ParseAnswer(line); err == nil {
			t.Errorf("%q is read as %+v", line, a)
		}
	}
}

// Whatever comes, a request that is read is one that can be written.
func FuzzRequest(f *testing.F) {
	f.Add("arm 83000000000 /skerry-1a2b3c4d/stop")
	f.Add("state /skerry-1a2b3c4d/stop")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseRequest(line)
		if err != nil {
			return
		}
		if again, err := ParseRequest(strings.TrimSuffix(string(r.Line()), "\n")); err != nil || again != r || len(r.Line()) > MaxRequest {
			t.Errorf("%q is %+v, and then %+v, %v", line, r, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("ok armed=1 deadline=83000000000 fired=0 watchdog=1 rebooting=0 stuck=1,2")
	f.Add("busy processes are in it: 1")
	f.Fuzz(func(t *testing.T, line string) {
		if a, err := ParseAnswer(line); err == nil && len(a.Line()) > MaxAnswer {
			t.Errorf("%q is written with %d bytes", line, len(a.Line()))
		}
	})
}
