package main

import (
	"strings"
	"testing"
	"time"
)

// The percentiles are those of the nearest rank, and a case without times says so.
func TestTable(t *testing.T) {
	var times []time.Duration
	for i := range 30 {
		times = append(times, time.Duration(30-i)*time.Second)
	}
	var out strings.Builder
	printTable(&out, []*measurement{
		{scenario: scenario{what: "cut", budget: "≤ 33 s"}, times: times},
		{scenario: scenario{what: "kill", budget: "≤ 18 s"}},
	}, time.Unix(0, 0))
	for _, want := range []string{"Measured on 1970-01-01", "| cut | 30 | 15.0 s | 30.0 s | 30.0 s | ≤ 33 s |", "| kill | 0 | | | | ≤ 18 s |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, out.String())
		}
	}
}
