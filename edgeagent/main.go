// Command skerry-agent runs the pods of a Skerry cluster on this machine.
package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/skerry-edge/skerry/edgeagent/agent"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() daemon.Command {
	var config agent.Config
	var a *agent.Agent
	return daemon.Command{
		Name:    "skerry-agent",
		Summary: "makes this machine a node of a Skerry cluster: it runs the pods that the master assigns, also while the master can't be reached.",
		Metrics: "127.0.0.1:9641",
		Define:  config.Define,
		Check:   config.Check,
		Errands: []daemon.Errand{{
			Name:    "doctor",
			Summary: "looks whether this machine can be a node, and says what to do where it can't",
			Run:     func(ctx context.Context, out io.Writer) error { return agent.Examine(ctx, config, out) },
		}},
		Open: func(_ context.Context, d *daemon.Daemon) (err error) {
			saveMemory()
			a, err = agent.New(config, d)
			return err
		},
		Run: func(ctx context.Context, _ *daemon.Daemon) error { return a.Run(ctx) },
	}
}

// saveMemory collects garbage earlier than Go does by itself: an agent makes little of it once it runs, and a
// board has little memory. With three pods it halves the anonymous memory, from 14 to 7 MiB. GOGC overrides it.
func saveMemory() {
	const percent = 25
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
