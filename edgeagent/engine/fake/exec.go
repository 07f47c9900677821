package fake

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Exec implements engine.Engine: it knows exit, print, cat, size and sleep of the test program, which may go by a
// path; every other command exits with 0 at once. A command below /no/ does not exist.
func (e *Engine) Exec(ctx context.Context, id string, x engine.Exec) (int, error) {
	ended, err := e.exec(ctx, id)
	if err != nil {
		return 0, err
	}
	words := x.Command
	if len(words) > 0 && strings.HasPrefix(words[0], "/no/") {
		return 0, fmt.Errorf("execute in %s: %q: %w: no such file or directory", id, words[0], engine.ErrStart)
	}
	if len(words) > 1 && strings.HasPrefix(words[0], "/") {
		words = words[1:]
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- program(ctx, words, x) }()
	select {
	case c := <-code:
		return c, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-ended:
		return killed, nil
	}
}

// exec returns what is closed when the container ends.
func (e *Engine) exec(ctx context.Context, id string) (<-chan struct{}, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Exec); err != nil {
		return nil, err
	}
	c := e.containers[id]
	if c == nil || c.state != engine.Running {
		return nil, fmt.Errorf("execute in %s: %w", id, engine.ErrNotFound)
	}
	return c.ended, nil
}

func program(ctx context.Context, words []string, x engine.Exec) int {
	out := x.Stdout
	if out == nil {
		out = io.Discard
	}
	if len(words) == 0 {
		return 0
	}
	switch words[0] {
	case "exit":
		if len(words) > 1 {
			return number(words[1])
		}
	case "print":
		for _, text := range words[1:] {
			fmt.Fprintln(out, text)
		}
	case "cat":
		if x.Stdin != nil {
			if _, err := io.Copy(out, x.Stdin); err != nil {
				return 1
			}
		}
	case "size":
		if len(words) < 2 {
			return 1
		}
		for {
			select {
			case s, more := <-x.Resize:
				if !more || fmt.Sprintf("%dx%d", s.Width, s.Height) == words[1] {
					return 0
				}
			case <-ctx.Done():
				return killed
			}
		}
	case "sleep", "ignore":
		<-ctx.Done()
		return killed
	}
	return 0
}
