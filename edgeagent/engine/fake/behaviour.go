package fake

import (
	"strconv"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Behaviour is what a container's process does. The zero value runs for ever and ends at SIGTERM with 0.
type Behaviour struct {
	Ends  bool // by itself, After that long, with Code
	After time.Duration
	Code  int
	OOM   bool // the kernel ended it

	Ignores   bool // SIGTERM
	StopAfter time.Duration
	StopCode  int

	Unstartable bool // there is no such command

	CPUMilli    int64 // thousandths of a core that it keeps busy
	MemoryBytes int64 // that it holds
}

// terminated is the exit code of a process that SIGTERM ended.
const terminated = 143

// behave reads the words of package enginetest. Other words run for ever; a command below /no/ does not
// exist; a bare number is in seconds, as for sleep(1).
func behave(spec engine.Spec, program func(engine.Spec) Behaviour) Behaviour {
	if program != nil {
		return program(spec)
	}
	forever := Behaviour{StopCode: terminated}
	words := append(append([]string(nil), spec.Command...), spec.Args...)
	if len(words) == 0 {
		return forever
	}
	if strings.HasPrefix(words[0], "/no/") {
		return Behaviour{Unstartable: true}
	}
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch word := words[0]; word {
	case "sleep":
		after := duration(arg(1))
		return Behaviour{Ends: after > 0, After: after, StopCode: terminated}
	case "exit":
		return Behaviour{Ends: true, Code: number(arg(1)), After: duration(arg(2)), StopCode: terminated}
	case "trap":
		return Behaviour{StopCode: number(arg(1)), StopAfter: duration(arg(2))}
	case "ignore":
		return Behaviour{Ignores: true}
	case "eat":
		size := int64(number(arg(1))) << 20
		if spec.MemoryBytes > 0 && size > spec.MemoryBytes {
			return Behaviour{Ends: true, Code: killed, OOM: true}
		}
		forever.MemoryBytes = size
		return forever
	case "spin":
		forever.CPUMilli = 1000
		if spec.CPUMilli > 0 {
			forever.CPUMilli = min(forever.CPUMilli, spec.CPUMilli)
		}
		return forever
	case "print":
		return Behaviour{Ends: true}
	case "check":
		if check(spec, words[1:]) {
			return Behaviour{Ends: true}
		}
		return Behaviour{Ends: true, Code: 1}
	}
	return forever
}

// check answers the test program's question from the spec.
func check(spec engine.Spec, words []string) bool {
	if len(words) < 2 {
		return false
	}
	env := map[string]string{}
	for _, pair := range spec.Env {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	switch value, set := env[words[1]]; words[0] {
	case "env":
		return len(words) == 3 && set && value == words[2]
	case "noenv":
		return !set
	case "dir":
		return spec.Dir == words[1]
	case "host":
		return spec.Hostname == words[1]
	case "uid":
		return spec.User != nil && strconv.FormatInt(*spec.User, 10) == words[1]
	case "readonly":
		return spec.ReadOnlyRoot
	}
	return false
}

func number(word string) int {
	n, _ := strconv.Atoi(word)
	return n
}

func duration(word string) time.Duration {
	if seconds, err := strconv.ParseFloat(word, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	d, _ := time.ParseDuration(word)
	return d
}
