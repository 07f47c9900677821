package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

// Socket is where the guard's systemd unit listens.
const Socket = "/run/skerry/guard.sock"

// patience is how long an answer may take when the context sets no limit. The guard answers within milliseconds, and
// systemd starts it in about a second on a slow board.
const patience = 10 * time.Second

var (
	// ErrAway: no guard answers. Nothing of the group may be started.
	ErrAway = errors.New("no skerry-guard answers")
	// ErrBusy: there are processes in the group, so that it can't be disarmed, or, after the deadline, not armed yet.
	ErrBusy = errors.New("the group has processes")
)

// State is what the guard knows of the group.
type State = wire.State

// Config says which guard and which group.
type Config struct {
	// Socket is the path of the guard's socket; empty: Socket.
	Socket string
	// Group is the path of the parent cgroup in every hierarchy, as /skerry-1a2b3c4d/stop.
	Group string
}

// Client asks a guard about one group. It keeps no connection and may be used by several goroutines.
type Client struct{ config Config }

// New does not talk to the guard yet. What is wrong with the group, the first call says.
func New(config Config) *Client {
	if config.Socket == "" {
		config.Socket = Socket
	}
	return &Client{config}
}

// Arm makes the guard end all that is in the group at the deadline, which is a time of CLOCK_BOOTTIME, unless it is
// armed again before. It creates the group where it is missing. It may be repeated; the last deadline counts, an earlier
// one too. One that has passed is refused. When Arm returns nil the deadline is in force; it returns ErrAway when no guard
// answers, and ErrBusy when the last deadline has passed and processes are still there.
// After an error the last deadline may or may not have been replaced: assume the earlier of the two.
func (c *Client) Arm(ctx context.Context, deadline time.Duration) error {
	_, err := c.ask(ctx, wire.Request{Verb: wire.Arm, Group: c.config.Group, Deadline: deadline})
	return wrap("arm the guard", err)
}

// Disarm ends the guarding of a group without processes, and leaves it frozen until the next Arm; else it returns
// ErrBusy. A group that isn't armed is disarmed already. Start nothing in it then: runc would wait for the next Arm.
func (c *Client) Disarm(ctx context.Context) error {
	_, err := c.ask(ctx, wire.Request{Verb: wire.Disarm, Group: c.config.Group})
	return wrap("disarm the guard", err)
}

// State asks how it stands. Where nothing is armed it starts a guard that ends a second later: don't ask in a loop.
func (c *Client) State(ctx context.Context) (State, error) {
	state, err := c.ask(ctx, wire.Request{Verb: wire.Ask, Group: c.config.Group})
	return state, wrap("ask the guard", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ask sends one request over a connection of its own.
func (c *Client) ask(ctx context.Context, request wire.Request) (State, error) {
	if err := wire.CheckGroup(request.Group); err != nil {
		return State{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	line, err := c.exchange(ctx, request.Line())
	if err != nil {
		return State{}, fmt.Errorf("%w at %s (%w): run `systemctl enable --now skerry-guard.socket`, or without systemd `skerry-guard --socket %s`",
			ErrAway, c.config.Socket, err, c.config.Socket)
	}
	answer, err := wire.ParseAnswer(strings.TrimSuffix(line, "\n"))
	switch {
	case err != nil:
		return State{}, fmt.Errorf("read what %s says: %w", c.config.Socket, err)
	case answer.Code == wire.Busy:
		return State{}, fmt.Errorf("%w: %s", ErrBusy, answer.Why)
	case answer.Code == wire.Refused:
		return State{}, fmt.Errorf("refused: %s", answer.Why)
	}
	return answer.State, nil
}

// exchange sends a line and reads one.
func (c *Client) exchange(ctx context.Context, request []byte) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.config.Socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(conn, wire.MaxAnswer), wire.MaxAnswer).ReadString('\n')
	if err == nil {
		return line, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "", fmt.Errorf("read the answer: %w", err)
}
