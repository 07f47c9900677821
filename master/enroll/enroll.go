package enroll

import (
	"context"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/sealed"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/loop"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Limits for strangers.
const (
	inboxLimit   = 1024
	inboxBytes   = 512 << 10
	maxAsk       = 1 << 10 // bytes of a message
	maxAttempts  = 64      // under way; those that were let in don't count
	maxLetIn     = 1024    // attempts that are remembered although they were let in: their verdicts may be lost
	maxWaiting   = 1024    // first messages of attempts that may not begin yet
	patience     = time.Minute
	burst        = 32 // attempts that may begin at once, each of which costs three key exchanges,
	refill       = time.Second / 8
	maxConflicts = 5           // with somebody else's writes, before an attempt is told to come back
	complaint    = time.Minute // between two lines in the log about messages that were refused
)

// Config is what an Enroller needs.
type Config struct {
	Store   store.Store
	Bus     bus.Bus
	Topics  protocol.Topics
	Cluster string           // its name
	Key     *ecdh.PrivateKey // the cluster's
	Run     seal.Run         // of this process

	Clock      clock.Source
	Rand       io.Reader // challenges
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// Wake, if set, is called from any goroutine whenever Step has something to do. Run needs none.
	Wake func()
}

// Enroller lets machines join. Step and Run belong to one goroutine.
type Enroller struct {
	config   Config
	sender   *sealed.Sender
	inbox    *bus.Inbox
	wake     chan struct{}
	started  bool
	verdicts *prometheus.CounterVec

	attempts map[string]*attempt // by id
	letIn    []string            // ids of those of them whose machines were let in, the first first
	waiting  []waiter            // the first first
	waits    map[string]bool     // by id
	spent    time.Duration       // of the allowance for new attempts: see allow

	refused    map[string]int // by reason, since the last line about it
	complainAt clock.Now      // not before
}

// waiter is the first message of an attempt that may not begin yet.
type waiter struct {
	since clock.Now
	id    string
	m     bus.Message
}

// attempt is one machine that wants to join.
type attempt struct {
	began     clock.Now
	run       seal.Run // of the agent
	public    [32]byte // of the attempt's key pair
	box       *seal.Box
	sequence  uint64 // the newest of the agent's
	ask       message.JoinAsk
	challenge uint64
	verdict   message.JoinVerdict // empty until the proof has come
}

// New returns an Enroller that has done nothing yet.
func New(config Config) *Enroller {
	e := &Enroller{
		config: config, sender: sealed.NewSender(config.Bus, config.Run), wake: make(chan struct{}, 1),
		attempts: map[string]*attempt{}, waits: map[string]bool{}, refused: map[string]int{},
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_enroll_attempts_total", Help: "Messages of machines that want to join, by what became of them.",
		}, []string{"verdict"}),
	}
	e.inbox = bus.NewInboxOfBytes(inboxLimit, inboxBytes, e.Wake)
	if config.Registerer != nil {
		config.Registerer.MustRegister(e.verdicts)
	}
	return e
}

// Wake makes Run call Step soon.
func (e *Enroller) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
	if e.config.Wake != nil {
		e.config.Wake()
	}
}

// Run calls Step whenever there is something to do, until the context ends.
func (e *Enroller) Run(ctx context.Context) error {
	return loop.Run(ctx, e.config.Clock, e.wake, e.Step)
}

// Step takes in what has arrived and says when to call again at the latest. An error is final.
func (e *Enroller) Step(now clock.Now) (next clock.Now, err error) {
	if !e.started {
		if err := e.config.Bus.Subscribe(e.config.Topics.AllJoins(protocol.JoinAsk), 1, e.inbox); err != nil {
			return clock.Now{}, fmt.Errorf("subscribe to those who join: %w", err)
		}
		e.started = true
	}
	e.forget(now)
	for _, m := range e.inbox.Drain() {
		if err := e.receive(now, m); err != nil {
			return clock.Now{}, err
		}
	}
	if err := e.beginWaiting(now); err != nil {
		return clock.Now{}, err
	}
	return clock.Earliest(e.due(), e.complain(now)), nil
}

// forget ends the attempts whose time is over, and those that were let in and are too many to be remembered: a machine
// whose verdict was lost asks again.
func (e *Enroller) forget(now clock.Now) {
	for id, a := range e.attempts {
		if now.Reached(a.began.Add(patience)) {
			delete(e.attempts, id)
		}
	}
	e.letIn = slices.DeleteFunc(e.letIn, func(id string) bool { return e.attempts[id] == nil })
	for len(e.letIn) > maxLetIn {
		delete(e.attempts, e.letIn[0])
		e.letIn = e.letIn[1:]
	}
}

// due is when an attempt ends, or when one that waits may begin.
func (e *Enroller) due() clock.Now {
	next := clock.Never
	for _, a := range e.attempts {
		next = clock.Earliest(next, a.began.Add(patience))
	}
	if len(e.waiting) > 0 && !e.full() {
		next = clock.Earliest(next, clock.Now{Boot: e.spent})
	}
	return next
}

// complain puts what was refused into the log, at once and then in sums, and says when the next line is due.
func (e *Enroller) complain(now clock.Now) clock.Now {
	if len(e.refused) == 0 {
		return clock.Never
	}
	if !now.Reached(e.complainAt) {
		return e.complainAt
	}
	event := e.config.Logger.Warn()
	for _, why := range slices.Sorted(maps.Keys(e.refused)) {
		event = event.Int(why, e.refused[why])
	}
	event.Msg("messages of machines that want to join were refused; unreadable are those with the token of another cluster")
	clear(e.refused)
	e.complainAt = now.Add(complaint)
	return clock.Never
}

func (e *Enroller) receive(now clock.Now, m bus.Message) error {
	id, _, ok := e.config.Topics.ParseJoin(m.Topic)
	if !ok || m.Retained || len(m.Payload) > maxAsk || protocol.CheckLevel(id) != nil {
		e.refuse("malformed")
		return nil
	}
	envelope, err := seal.Parse(m.Payload)
	switch a := e.attempts[id]; {
	case err != nil:
		e.refuse("malformed")
	case envelope.Version == seal.Joining:
		return e.begin(now, id, a, envelope, m)
	case a == nil:
		e.refuse("unknown_attempt")
	default:
		e.prove(now, id, a, m)
	}
	return nil
}

// begin has the first message of an attempt wait for its turn, and answers its repetition as it was answered.
func (e *Enroller) begin(now clock.Now, id string, a *attempt, envelope seal.Envelope, m bus.Message) error {
	if a != nil {
		if envelope.Sender == a.run && len(envelope.Body) > len(a.public) && [32]byte(envelope.Body[:32]) == a.public {
			e.answer(id, a, message.JoinAnswer{Echo: a.ask.Challenge, Challenge: a.challenge})
		} else {
			e.refuse("repeated_id")
		}
		return nil
	}
	if e.waits[id] {
		return nil // it has asked again
	}
	if len(e.waiting) >= maxWaiting {
		e.refuse("too_many")
		return nil
	}
	// Nobody overtakes those who wait: beginWaiting comes next.
	e.waiting, e.waits[id] = append(e.waiting, waiter{now, id, m}), true
	return nil
}

// beginWaiting begins as many of the attempts that wait as may, and drops those that have waited for so long that they
// have asked again or gone.
func (e *Enroller) beginWaiting(now clock.Now) error {
	for len(e.waiting) > 0 {
		w := e.waiting[0]
		stale := now.Reached(w.since.Add(patience))
		if !stale && !e.allow(now) {
			return nil
		}
		e.waiting = e.waiting[1:]
		delete(e.waits, w.id)
		if stale {
			e.refuse("too_many")
			continue
		}
		if err := e.admit(now, w.id, w.m); err != nil {
			return err
		}
	}
	e.waiting = nil
	return nil
}

// admit opens the first message of an attempt and answers it with a challenge.
func (e *Enroller) admit(now clock.Now, id string, m bus.Message) error {
	envelope, public, err := seal.OpenJoin(e.config.Key, e.config.Cluster, id, m.Topic, m.Payload)
	if err != nil {
		e.refuse("unreadable") // of an agent with a token of another cluster, for one
		return nil
	}
	ask, err := message.Decode[message.JoinAsk](envelope.Body)
	if err != nil {
		e.refuse("malformed")
		return nil
	}
	box, err := seal.NewJoinBox(e.config.Key, public, ask.Key, e.config.Cluster, id)
	if err != nil {
		e.refuse("malformed")
		return nil
	}
	var challenge [8]byte
	if _, err := io.ReadFull(e.config.Rand, challenge[:]); err != nil {
		return fmt.Errorf("draw a challenge: %w", err)
	}
	a := &attempt{
		began: now, run: envelope.Sender, public: public, box: box, ask: ask, challenge: binary.BigEndian.Uint64(challenge[:]) | 1,
	}
	e.attempts[id] = a
	e.answer(id, a, message.JoinAnswer{Echo: ask.Challenge, Challenge: a.challenge})
	return nil
}

// full reports whether as many attempts are under way as may be.
func (e *Enroller) full() bool { return len(e.attempts)-len(e.letIn) >= maxAttempts }

// allow spends one of the attempts that may begin: burst at once, and one more each refill. Whoever is let in gives it
// back, so that it holds up strangers, and no fleet.
func (e *Enroller) allow(now clock.Now) bool {
	if e.full() {
		return false
	}
	spent := max(e.spent, now.Boot-burst*refill)
	if spent > now.Boot {
		return false
	}
	e.spent = spent + refill
	return true
}

// prove judges the proof of an attempt, once, and tells the verdict each time that the proof comes.
func (e *Enroller) prove(now clock.Now, id string, a *attempt, m bus.Message) {
	envelope, err := a.box.Open(m.Topic, e.config.Run, m.Payload)
	if err != nil || envelope.Sender != a.run || envelope.Sequence <= a.sequence {
		e.refuse("unreadable")
		return
	}
	a.sequence = envelope.Sequence
	proof, err := message.Decode[message.JoinProof](envelope.Body)
	if err != nil || proof.Echo != a.challenge || len(proof.Secret) > seal.SecretSize || len(proof.Token) > 64 {
		e.refuse("malformed")
		return
	}
	if a.verdict == "" {
		var stored bool // and a use of the token spent
		if a.verdict, stored = e.decide(now, a.ask, proof); stored {
			e.letIn, e.spent = append(e.letIn, id), e.spent-refill
		}
		e.verdicts.WithLabelValues(string(a.verdict)).Inc()
		event := e.config.Logger.Info()
		if a.verdict != message.Joined {
			event = e.config.Logger.Warn()
		}
		event.Str("node", printable(a.ask.Node)).Str("token", printable(proof.Token)).Str("verdict", string(a.verdict)).Msg("a machine wants to join")
	}
	e.answer(id, a, message.JoinAnswer{Echo: a.ask.Challenge, Verdict: a.verdict})
	if a.verdict.Passes() {
		a.verdict = "" // it may ask again
	}
}

// decide judges, and stores what follows from a verdict that lets the machine in.
func (e *Enroller) decide(now clock.Now, ask message.JoinAsk, proof message.JoinProof) (verdict message.JoinVerdict, stored bool) {
	for range maxConflicts {
		verdict, changes := judge(e.config.Store.View(), now, ask, proof)
		if len(changes) == 0 {
			return verdict, false
		}
		_, err := e.config.Store.Commit(context.Background(), changes)
		switch {
		case err == nil:
			return verdict, true
		case !errors.Is(err, store.ErrConflict):
			e.config.Logger.Error().Err(err).Str("node", ask.Node).Msg("a machine can't join: its key is not stored")
			return message.MasterBusy, false
		}
	}
	return message.MasterBusy, false
}

func (e *Enroller) answer(id string, a *attempt, m message.JoinAnswer) {
	topic := e.config.Topics.Join(id, protocol.JoinAnswer)
	if err := e.sender.Send(a.box, a.run, topic, m, 1, false); err != nil {
		e.config.Logger.Warn().Err(err).Msg("no answer to a machine that wants to join") // it asks again
	}
}

func (e *Enroller) refuse(why string) {
	e.verdicts.WithLabelValues(why).Inc()
	e.refused[why]++
}

// printable cuts what a stranger sent down to what may stand in a log.
func printable(text string) string {
	if protocol.CheckLevel(text) != nil {
		return "(not a name)"
	}
	return text
}
