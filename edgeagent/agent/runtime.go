package agent

import (
	"context"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
)

// machine is the board that the agent runs on. Its methods don't block.
type machine interface {
	Node() []byte               // its labels and status, a corev1.Node as protobuf
	Readings() message.Readings // the newest
	IP() string                 // empty: unknown
}

// runtimeParts are what is real or fake together.
type runtimeParts struct {
	engine  engine.Engine
	network reconcile.Network
	machine machine
	runs    []func(context.Context) error // their loops
	close   func() error
}

func newRuntime(config Config, node string, d *daemon.Daemon) (*runtimeParts, error) {
	return newFakeRuntime(config, node)
}
