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
	if l.config.Reconnect != nil {
		l.config.Reconnect(false) // the broker's password follows from the key
	}
	l.log.Info().Msg("the node has a new key")
}

// revoke ends the node's part in the cluster: its pods stop, now and at every start.
func (l *Link) revoke(e peer.Revoke) {
	if err := l.config.Keys.Revoked(e.Time); err != nil {
		l.log.Error().Err(err).Msg("not stored that this node was removed from the cluster") // the master says it again
	}
	l.config.Local.Accept(message.Content{})
	l.log.Error().Msg("this node was removed from the cluster; its pods stop. To join again, start the agent with --join and a new token")
}
