// Command skerry-master is the control plane of a Skerry cluster.
package main

import (
	"context"
	"io"
	"os"

	"github.com/skerry-edge/skerry/master/server"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() daemon.Command {
	var config server.Config
	var s *server.Server
	return daemon.Command{
		Name:    "skerry-master",
		Summary: "runs the control plane of a Skerry cluster: the Kubernetes API, the scheduler and controllers, and an MQTT broker for the nodes.",
		Metrics: "127.0.0.1:9640",
		Define:  config.Define,
		Check:   config.Check,
		Errands: []daemon.Errand{{
			Name:    "rotate-secret-key",
			Summary: "encrypts the Secrets in --data-dir under a new key and drops the old one; no master may use the directory",
			Run:     func(_ context.Context, out io.Writer) error { return server.RotateSecretKey(config, out) },
		}},
		Open: func(ctx context.Context, d *daemon.Daemon) (err error) {
			s, err = server.New(ctx, config, d)
			return err
		},
		Run: func(ctx context.Context, _ *daemon.Daemon) error { return s.Run(ctx) },
	}
}
