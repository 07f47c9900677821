package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/images"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries that make build made")
	only := flag.String("only", "", "letters of the cases to measure, as abc; empty: all")
	runs := flag.Int("runs", 0, "runs of each case; 0: 30, and 12 of the slowest")
	fleets := flag.Int("fleets", 5, "fleets of each case")
	atOnce := flag.Int("at-once", 3, "cases side by side")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *only, *runs, *fleets, *atOnce); err != nil {
		fmt.Fprintln(os.Stderr, "loss:", err)
		os.Exit(1)
	}
}

// run measures all cases and prints the table, also of what was measured when something fails.
func run(ctx context.Context, bin, only string, runs, fleets, atOnce int) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "loss-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archives := filepath.Join(dir, "images")
	if _, err := images.WriteAll(archives, []v1.Platform{images.Host()}); err != nil {
		return err
	}
	containerd, err := hostenv.New(filepath.Join(dir, "containerd"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, containerd.Close()) }()

	var chosen []*measurement
	for _, c := range cases {
		if runs > 0 {
			c.runs = runs
		}
		if only == "" || strings.Contains(only, c.letter) {
			chosen = append(chosen, &measurement{scenario: c})
		}
	}
	turns := make(chan struct{}, max(1, atOnce))
	var all sync.WaitGroup
	for _, m := range chosen {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			var each sync.WaitGroup
			for i := range fleets {
				each.Go(func() {
					place := place{bin: bin, archives: archives, socket: containerd.Socket, dir: filepath.Join(dir, fmt.Sprintf("%s%d", m.letter, i))}
					m.note(m.measure(ctx, place, (m.runs+fleets-1)/fleets))
				})
			}
			each.Wait()
		})
	}
	all.Wait()
	printTable(os.Stdout, chosen, time.Now())
	for _, m := range chosen {
		err = errors.Join(err, m.err)
	}
	return err
}
