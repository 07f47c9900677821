package masterlink

import (
	"github.com/skerry-edge/skerry/edgeagent/masterlink/peer"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// makeKey makes the next key pair, because the master asks for it. What fails is asked for again.
func (l *Link) makeKey() {
	key, err := l.config.Keys.Next()
	if err != nil {
		l.log.Error().Err(err).Msg("no new key")
		return
	}
	l.peer.Offer(key)
}

// useKey goes over to the next key pair, which the master has stored.
func (l *Link) useKey(now clock.Now, key [32]byte) {
	box, err := l.config.Keys.Use(key)
	if err != nil {
		l.log.Error().Err(err).Msg("the new key is not used") // it is offered again, and the master says again that it has it
		return
	}
	l.route.Store(&route{box: box, master: l.route.Load().master})
	l.peer.Rekeyed(now)
	l.log.Info().Msg("the node has a new key")
	l.reconnect(false) // the broker's password follows from the key
}

func (l *Link) reconnect(nextBroker bool) {
	if l.config.Reconnect != nil {
		l.config.Reconnect(nextBroker)
	}
}

// revoke ends the node's part in the cluster: its pods stop, now and at every start, and their secrets leave the disk.
func (l *Link) revoke(e peer.Revoke) {
	if err := l.config.Keys.Revoked(e.Time); err != nil {
		l.log.Error().Err(err).Msg("not stored that this node was removed from the cluster") // the master says it again
	}
	l.peer.Stored(l.runNothing(l.peer.Head()))
	l.log.Error().Msg("this node was removed from the cluster; its pods stop. To join again, start the agent with --join and a new token")
}

// runNothing stops all pods, and replaces what is stored by the explicit order to run nothing. It returns what is
// stored then.
func (l *Link) runNothing(stored peer.Head) peer.Head {
	l.config.Local.Accept(message.Content{})
	nothing := message.Encode(message.Content{})
	// It is no document of a master's, so it has no number: one that is numbered the same must not pass for it.
	next := peer.Head{Position: message.Position{Epoch: stored.Position.Epoch}, Digest: message.DigestOf(nothing)}
	if stored.Position.Serial == 0 || stored.Digest == next.Digest {
		return stored
	}
	if err := l.config.Disk.KeepDesired(next.Position, next.Digest, nothing); err != nil {
		l.log.Error().Err(err).Msg("what this node ran, and its secrets, are still on the disk")
		return stored
	}
	return next
}
