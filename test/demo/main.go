package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries that make build made")
	keep := flag.Bool("keep-logs", false, "leave the logs of all processes in a directory and say where")
	quick := flag.Bool("quick", false, "heartbeats every second and a node-timeout of 3 s, instead of the defaults")
	flag.Parse()
	os.Exit(run(*bin, *keep, *quick))
}

// run tells the whole story and returns the exit code.
func run(bin string, keep, quick bool) int {
	bin, err := filepath.Abs(bin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "skerry-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	s := newStory(os.Stdout)
	d := &demo{story: s, bin: bin, dir: dir, quick: quick}

	// Ctrl-C ends the story at the next check, and with it everything that was started.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- d.tell() }()
	select {
	case err = <-done:
	case <-interrupted:
		err = errors.New("interrupted")
	}
	cleanErr := s.do("Clean up", d.close)
	if keep || err != nil {
		fmt.Printf("          logs of all processes: %s\n", filepath.Join(dir, "log"))
	} else {
		cleanErr = errors.Join(cleanErr, os.RemoveAll(dir))
	}
	err = errors.Join(err, cleanErr)
	s.summary(d.facts, err)
	if err != nil {
		return 1
	}
	return 0
}
