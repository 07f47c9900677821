package join

import (
	"context"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/sealed"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/loop"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Times between two asks, and how long none may be answered before that is reported.
const (
	firstGap = 2 * time.Second
	lastGap  = time.Minute
	silence  = 15 * time.Second
)

// inboxLimit is plenty: a master answers each message with one.
const inboxLimit = 64

// NewID draws the id of an attempt, a level of its topics.
func NewID(random io.Reader) (string, error) {
	var raw [16]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", fmt.Errorf("draw an id: %w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// Config is what an Attempt needs.
type Config struct {
	Bus     bus.Bus
	Topics  protocol.Topics
	ID      string           // of the attempt
	Node    string           // the node's name
	Key     *ecdh.PrivateKey // the node's, which is on disk
	Token   seal.Token
	Run     seal.Run // of this process
	Version string   // of the agent, for people
	// NextBroker makes the bus try the next broker of its list: no master answers at this one.
	NextBroker func()

	Clock  clock.Source
	Rand   io.Reader
	Logger zerolog.Logger
}

// Attempt is one process' attempt to join. Run belongs to one goroutine; Err is safe for everybody.
type Attempt struct {
	config Config
	joiner *seal.Joiner
	sender *sealed.Sender
	inbox  *bus.Inbox
	wake   chan struct{}

	challenge  uint64 // of the asks
	sequence   uint64 // of the asks
	connection uint64
	up         bool
	gap        time.Duration
	askAt      clock.Now
	since      clock.Now // nobody has answered; Never: somebody has
	err        atomic.Pointer[error]
}

var errNoAnswer = errors.New("no master answers: check that it runs, that it uses this broker, and that the join token is of this very cluster")

// New returns an attempt that has done nothing yet.
func New(config Config) (*Attempt, error) {
	attempt, err := ecdh.X25519().GenerateKey(config.Rand)
	if err != nil {
		return nil, fmt.Errorf("make a key pair to join with: %w", err)
	}
	a := &Attempt{
		config: config, sender: sealed.NewSender(config.Bus, config.Run), wake: make(chan struct{}, 1),
		gap: firstGap, askAt: clock.Never, since: clock.Never,
	}
	a.inbox = bus.NewInbox(inboxLimit, a.awake)
	if a.joiner, err = seal.NewJoiner(attempt, config.Key, config.Token.Exchange, config.Token.Cluster, config.ID); err != nil {
		return nil, fmt.Errorf("the cluster's key in the join token: %w", err)
	}
	var challenge [8]byte
	if _, err := io.ReadFull(config.Rand, challenge[:]); err != nil {
		return nil, fmt.Errorf("draw a challenge: %w", err)
	}
	a.challenge = binary.BigEndian.Uint64(challenge[:]) | 1
	return a, nil
}

func (a *Attempt) awake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Err says in one line what is missing; nil while an answer may be on its way.
func (a *Attempt) Err() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (a *Attempt) setErr(err error) { a.err.Store(&err) }

// Start subscribes to the answers.
func (a *Attempt) Start() error {
	topic := a.config.Topics.Join(a.config.ID, protocol.JoinAnswer)
	if err := a.config.Bus.Subscribe(topic, 1, a.inbox); err != nil {
		return fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	return nil
}

// Run starts, and goes on until there is a verdict or the context ends; then there is none.
func (a *Attempt) Run(ctx context.Context) (message.JoinVerdict, error) {
	if err := a.Start(); err != nil {
		return "", err
	}
	var verdict message.JoinVerdict
	err := loop.Run(ctx, a.config.Clock, a.wake, func(now clock.Now) (next clock.Now, err error) {
		if next, verdict = a.Step(now); verdict != "" {
			err = errDone
		}
		return next, err
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return verdict, err
}

// errDone ends the loop when there is a verdict.
var errDone = errors.New("there is a verdict")

// Step takes in what has arrived, asks when it is time, and says when to call again; or what the verdict is.
func (a *Attempt) Step(now clock.Now) (next clock.Now, verdict message.JoinVerdict) {
	number, up := a.config.Bus.Connection()
	if up && (number != a.connection || !a.up) {
		a.askAt, a.gap = now, firstGap
		if a.since.IsNever() {
			a.since = now
		}
	}
	a.connection, a.up = number, up
	for _, m := range a.inbox.Drain() {
		if verdict := a.receive(now, m); verdict != "" {
			return clock.Never, verdict
		}
	}
	if !up {
		return clock.Never, ""
	}
	if now.Reached(a.askAt) {
		a.ask(now)
	}
	next = a.askAt
	if !a.since.IsNever() {
		if late := a.since.Add(silence); now.Reached(late) {
			if a.Err() == nil {
				a.config.Logger.Warn().Msg(errNoAnswer.Error())
			}
			a.setErr(errNoAnswer)
			a.since = now // another broker gets its time, too
			a.config.NextBroker()
		} else {
			next = clock.Earliest(next, late)
		}
	}
	return next, ""
}

func (a *Attempt) ask(now clock.Now) {
	a.askAt, a.gap = now.Add(a.gap), min(2*a.gap, lastGap)
	a.sequence++
	topic := a.config.Topics.Join(a.config.ID, protocol.JoinAsk)
	body := message.Encode(message.JoinAsk{
		Key: [32]byte(a.config.Key.PublicKey().Bytes()), Node: a.config.Node, Challenge: a.challenge, Version: a.config.Version,
	})
	if err := a.config.Bus.Publish(topic, a.joiner.Ask(topic, a.config.Run, a.sequence, body), 1, false); err != nil {
		a.config.Logger.Warn().Err(err).Msg("not asked to join") // again, later
	}
}

// receive takes in an answer: a challenge is answered with the token, anything else is a verdict.
func (a *Attempt) receive(now clock.Now, m bus.Message) message.JoinVerdict {
	envelope, err := a.joiner.Box().Open(m.Topic, a.config.Run, m.Payload)
	if err != nil {
		a.config.Logger.Debug().Err(err).Msg("answer refused")
		return ""
	}
	answer, err := message.Decode[message.JoinAnswer](envelope.Body)
	if err != nil || answer.Echo != a.challenge {
		return ""
	}
	a.since = clock.Never
	a.setErr(nil)
	switch {
	case answer.Verdict == message.MasterBusy:
		a.setErr(errors.New("the master can't store another node now: look at its log and its disk"))
		return ""
	case answer.Verdict == message.MasterClock:
		a.setErr(errors.New("the master's clock stands before the time at which the join token was made, so it can't tell whether the token is still good: set the master's clock"))
		return ""
	case answer.Verdict != "":
		return answer.Verdict
	}
	proof := message.JoinProof{Echo: answer.Challenge, Token: a.config.Token.ID(), Secret: a.config.Token.Secret}
	topic := a.config.Topics.Join(a.config.ID, protocol.JoinAsk)
	if err := a.sender.Send(a.joiner.Box(), envelope.Sender, topic, proof, 1, false); err != nil {
		a.config.Logger.Warn().Err(err).Msg("join token not shown") // again after the next ask
	}
	return ""
}
