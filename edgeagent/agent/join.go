package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/join"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// joinBackoff is the longest pause between two attempts to reach a broker while somebody waits for the node.
const joinBackoff = 20 * time.Second

// join shows the master the token, until there is a verdict. The node's key is on the disk before.
func (a *Agent) join(ctx context.Context) error {
	if err := a.keys.begin(); err != nil {
		return err
	}
	id, err := join.NewID(rand.Reader)
	if err != nil {
		return err
	}
	brokers, err := a.brokers(a.token.Brokers)
	if err != nil {
		return err
	}
	user, password := a.token.Account()
	bus, err := mqtt.New(mqtt.Config{
		Brokers: brokers, ClientID: mqtt.JoinClientID(a.token.Cluster, id), User: user, Password: password,
		PinnedCA: a.token.CAHash, TakeLeave: true, BackoffCap: func() time.Duration { return joinBackoff }, Log: a.daemon.Log,
	})
	if err != nil {
		return err
	}
	key, err := privateKey(a.keys.id.Key)
	if err != nil {
		return err
	}
	attempt, err := join.New(join.Config{
		Bus: bus, Topics: a.topics, ID: id, Node: a.keys.id.Node, Key: key, Token: *a.token, Run: a.run, Version: daemon.Version,
		NextBroker: func() { bus.Reconnect(true) }, Clock: daemon.Clock, Rand: rand.Reader, Logger: a.daemon.Log,
	})
	if err != nil {
		return err
	}
	var done atomic.Bool
	a.daemon.Health.Check("join", func() error {
		if done.Load() {
			return nil
		}
		return errors.Join(errors.New("this node has not joined yet"), bus.Err(), attempt.Err())
	})
	verdict, err := converse(ctx, bus, attempt)
	if err != nil || verdict == "" {
		return err
	}
	if err := refusal(verdict, a.keys.id.Node, *a.token); err != nil {
		return daemon.Usage(err)
	}
	if err := a.keys.joined(); err != nil {
		return err
	}
	done.Store(true)
	a.daemon.Log.Info().Str("node", a.keys.id.Node).Str("token", a.token.ID()).Msg("the node has joined; from now on it starts without --join")
	return nil
}

// passOver says that a node which has joined looks at no token; loudly, when it is one of another cluster, for then
// somebody expects something else.
func (a *Agent) passOver() {
	if a.keys.id.Revoked != 0 {
		a.daemon.Log.Warn().Msg("--join has the token that this node joined with before it was removed from the cluster, and is not looked at: it needs a new one")
		return
	}
	token, err := readJoin(a.config)
	switch anew := "stop the agent, remove the file identity in " + a.config.DataDir + ", and start it again"; {
	case err == nil && token.Exchange != a.keys.id.Exchange:
		a.daemon.Log.Warn().Str("cluster", a.keys.id.Cluster).Msg("--join is of another cluster, or of this one after it was set up anew, and is not looked at: " +
			"this node has joined before. To leave that cluster, " + anew)
	case err == nil && token.ID() != a.keys.id.With:
		a.daemon.Log.Info().Msg("this node has joined before; --join is not looked at. If the master no longer knows this node's key, delete the node, " + anew)
	default:
		a.daemon.Log.Info().Msg("this node has joined before; --join is not looked at")
	}
}

// converse runs the connection as long as the attempt goes on. There is no verdict when ctx has ended.
func converse(ctx context.Context, bus *mqtt.Bus, attempt *join.Attempt) (message.JoinVerdict, error) {
	connection, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(connection) }()
	verdict, err := attempt.Run(ctx)
	stop()
	return verdict, errors.Join(err, <-ended)
}

// refusal says what to do about a verdict; nil: the node has joined.
func refusal(verdict message.JoinVerdict, node string, token seal.Token) error {
	const another = "make another one with edgectl token create, and start the agent with that"
	switch verdict {
	case message.Joined:
		return nil
	case message.TokenUnknown:
		return fmt.Errorf("--join: the master does not know the token %s: it is long gone, or of a cluster that was set up anew; %s", token.ID(), another)
	case message.TokenExpired:
		return fmt.Errorf("--join: the token %s has expired; %s", token.ID(), another)
	case message.TokenUsedUp:
		return fmt.Errorf("--join: as many nodes as the token %s is for have joined with it; %s", token.ID(), another)
	case message.TokenRevoked:
		return fmt.Errorf("--join: the token %s was revoked; %s", token.ID(), another)
	case message.NameTaken:
		return fmt.Errorf("--node-name: another device is the node %s; give this one another name, or, if that device is no more, delete its node (edgectl delete node %s) and start the agent again", node, node)
	case message.NameInvalid:
		return fmt.Errorf("--node-name: the master does not accept the name %s; give another one", node)
	}
	return fmt.Errorf("--join: the master refuses this node (%s); look at the master's log", verdict)
}

// accountKeys change the broker's account along with the key.
type accountKeys struct {
	*keys
	bus *mqtt.Bus
}

// Use implements masterlink.Keys.
func (k accountKeys) Use(next [32]byte) (*seal.Box, error) {
	box, err := k.keys.Use(next)
	if err == nil {
		k.bus.UseAccount(k.id.Node, box.Password(), k.id.Password)
	}
	return box, err
}
