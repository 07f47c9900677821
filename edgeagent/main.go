// Command skerry-agent runs the pods of a Skerry cluster on this machine.
package main

import (
	"context"
	"io"
	"os"

	"github.com/skerry-edge/skerry/edgeagent/agent"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() daemon.Command {
	var config agent.Config
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
		Run: func(ctx context.Context, d *daemon.Daemon) error {
			a, err := agent.New(config, d)
			if err != nil {
				return err
			}
			return a.Run(ctx)
		},
	}
}
