package peer

import (
	"crypto/ed25519"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Times that the settings don't decide.
const (
	leaderPatience  = time.Second      // after a connection, for the retained announcement to come first
	desiredPatience = time.Second      // after a welcome, for the document that it named
	statusGap       = time.Second / 4  // between incremental statuses: changes come in bursts
	helloGap        = time.Second      // the least between two hellos
	leaderSilence   = 11 * time.Minute // two announcements missed: is this master still there?
)

// Config is what a Peer needs from the start.
type Config struct {
	BootID      string
	Version     string // of the agent, for people
	LeaderTopic string // as the signature has it
	LeaderKey   ed25519.PublicKey
	Stored      Head             // of the desired state on disk; zero when there is none
	Highest     message.Epoch    // kept on disk
	Settings    message.Settings // until a welcome says otherwise
	Revoked     int64            // as an earlier run was told, see Revoked; 0: it was not
}

// Head is a document without its content.
type Head struct {
	Position message.Position
	Digest   message.Digest
}

// Chance is fresh randomness for one input.
type Chance struct {
	Challenge uint64  // any number but 0
	Fraction  float64 // in [0,1)
}

// Peer is one run of an agent in its conversation with the master.
type Peer struct {
	config   Config
	settings message.Settings
	stored   Head
	highest  message.Epoch
	kept     message.Epoch // the highest epoch on disk

	up         bool
	connection uint64

	leader      leader
	announced   bool      // on this connection
	leaderHeard clock.Now // or connected, or asked about its silence
	window      seal.Window

	helloAt    clock.Now
	helloSent  clock.Now
	saidHello  bool
	challenge  uint64    // of the hello that waits for an answer; 0: none does
	waiting    clock.Now // since when; Never: not
	unanswered bool
	welcomed   bool // by the leader's run

	named       Head // the newest document when the leader answered
	candidate   *message.Desired
	candidateOf seal.Run  // who sealed it
	desiredAt   clock.Now // when to try, or ask, again

	report report
	beatAt clock.Now
	asked  struct {
		first, last uint64 // Heartbeat.Ask of this run
		at          clock.Now
		waits       uint64 // Snapshot.Waits, as of then
	}

	offer   [32]byte  // the next key; zero: there is none
	offerAt clock.Now // when to offer it, or offer it again
	revoked int64     // nothing but a rare hello is said any more
}

type leader struct {
	run   seal.Run
	epoch message.Epoch
}

// New returns the machine of a run that has just begun.
func New(config Config) *Peer {
	p := &Peer{
		config:    config,
		settings:  config.Settings,
		stored:    config.Stored,
		highest:   config.Highest,
		kept:      config.Highest,
		helloAt:   clock.Never,
		waiting:   clock.Never,
		desiredAt: clock.Never,
		beatAt:    clock.Never,
		revoked:   config.Revoked,
	}
	p.report.restart()
	if p.highest.Less(p.stored.Position.Epoch) {
		p.highest = p.stored.Position.Epoch
	}
	return p
}

// Connected says that connection number is up. The presence mark and, to a master that knows this run, a
// heartbeat go out with the next Step.
func (p *Peer) Connected(now clock.Now, number uint64) []Effect {
	p.up, p.connection, p.announced, p.leaderHeard = true, number, false, now
	p.helloAt = now.Add(leaderPatience)
	p.waiting, p.unanswered = clock.Never, false
	if p.welcomed {
		p.beatAt = now
	}
	return []Effect{Send{
		Channel: protocol.Presence, QoS: 1, Retain: true,
		Message: message.Presence{Online: true, Connection: number},
	}}
}

// Disconnected says that there is no connection.
func (p *Peer) Disconnected() { p.up = false }

// Welcomed reports whether the leader has answered this run.
func (p *Peer) Welcomed() bool { return p.welcomed }

// Answered reports whether a hello has waited for less than a node-timeout, or none waits.
func (p *Peer) Answered() bool { return !p.unanswered }

// Settings are those in force.
func (p *Peer) Settings() message.Settings { return p.settings }

// Head is the document on disk.
func (p *Peer) Head() Head { return p.stored }

// Stored says that a document, or its position, is on disk.
func (p *Peer) Stored(head Head) {
	p.stored = head
	if p.candidate != nil && !head.Position.Less(p.candidate.Position) {
		p.candidate = nil
	}
	if !head.Position.Less(p.named.Position) {
		p.desiredAt = clock.Never
	}
}

// Rejected says that the document's content is not what it says it is: it is asked for again, later.
func (p *Peer) Rejected() { p.candidate = nil }

// EpochKept says that the epoch is on disk.
func (p *Peer) EpochKept(epoch message.Epoch) { p.kept = epoch }

// Step does everything that is due but what FollowDesired does, which is called just before.
func (p *Peer) Step(now clock.Now, node Snapshot, chance Chance) []Effect {
	p.report.collect(node.Events)
	if !p.up {
		return nil
	}
	var effects []Effect
	effects = append(effects, p.sayHello(now, chance)...)
	effects = append(effects, p.sendStatus(now, node)...)
	effects = append(effects, p.offerKey(now)...)
	effects = append(effects, p.sendReleased(node)...)
	return append(effects, p.beat(now, node, chance)...)
}

// Next is when something will be due if nothing happens.
func (p *Peer) Next() clock.Now {
	if !p.up {
		return clock.Never
	}
	next := clock.Earliest(p.helloAt, p.leaderHeard.Add(leaderSilence))
	if !p.waiting.IsNever() && !p.unanswered {
		next = clock.Earliest(next, p.waiting.Add(p.settings.Timeout()))
	}
	if p.welcomed {
		next = clock.Earliest(next, p.desiredAt, p.beatAt, p.report.at)
		if p.offer != [32]byte{} {
			next = clock.Earliest(next, p.offerAt)
		}
	}
	return next
}

// beat sends a heartbeat when one is due, or when a pod begins to wait for a permit. Intervals are up to a twentieth
// shorter than set, so that the nodes of a fleet don't keep step.
func (p *Peer) beat(now clock.Now, node Snapshot, chance Chance) []Effect {
	if p.welcomed && node.Asks && node.Waits != p.asked.waits {
		p.beatAt = clock.Earliest(p.beatAt, later(now, p.asked.at.Add(askGap)))
	}
	if !p.welcomed || !now.Reached(p.beatAt) {
		return nil
	}
	interval := p.settings.Heartbeat()
	p.beatAt = now.Add(interval - time.Duration(chance.Fraction*float64(interval)/20))
	return []Effect{Send{Channel: protocol.Beat, Message: message.Heartbeat{
		Applied: p.stored.Position, Status: p.report.digest, Readings: node.Readings, Ask: p.ask(now, node),
	}.Fitting()}}
}
