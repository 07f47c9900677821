package nodelink

import (
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// A master whose store was restored from a backup may be older than what its nodes have seen, and they don't obey it
// until it leads in an epoch above. What a node says of that is sealed with its key, but no more: its hello may have been
// recorded, and the device may be stolen. A recorded one names an epoch that there was, above which the master has to
// get anyway, once. A forged one may name any: so each step up is bounded, and so is how often one is made, that no device
// uses the 32 bits of the terms up within a century, nor makes all nodes say hello again all the time.
const (
	maxTermJump  = 1024             // terms in one step
	maxAdvances  = 4                // steps at once: nodes may have seen different epochs
	advanceEvery = 15 * time.Minute // then one in this time
)

// rank is what is known of higher epochs than the master's.
type rank struct {
	above   message.Epoch // the highest that a node has shown in this Step,
	by      string        // that node; empty: none has
	spent   int           // steps made lately
	refund  clock.Now     // when there is one more to be made
	asked   message.Epoch // the master's epoch when it last asked for another
	refused map[string]message.Epoch
}

// outranked notes that a node has seen a higher epoch, or more of this one than the master.
func (l *Link) outranked(now clock.Now, node string, seen message.Epoch) {
	if l.config.Advance == nil && l.config.Outranked == nil {
		l.log.Warn().Str("node", node).Stringer("epoch", seen).Msg("this master's state is older than what the node has seen, and the node does not obey")
		return
	}
	if seen.Term > l.epoch.Term && seen.Term-l.epoch.Term > maxTermJump {
		l.refuseRank(now, node, seen)
		return
	}
	if l.rank.by == "" || l.rank.above.Less(seen) {
		l.rank.above, l.rank.by = seen, node
	}
}

// refuseRank says, once for each epoch that a node names, that it is too high to be believed.
func (l *Link) refuseRank(now clock.Now, node string, seen message.Epoch) {
	if l.rank.refused[node] == seen {
		return
	}
	if l.rank.refused == nil {
		l.rank.refused = map[string]message.Epoch{}
	}
	l.rank.refused[node] = seen
	l.log.Error().Str("node", node).Stringer("epoch", seen).Stringer("own", l.epoch).
		Msg("the node claims to have seen an epoch that is too high to be believed, and does not obey")
	l.recordEvent(now, node, "EpochNotBelieved", fmt.Sprintf("This node claims to have seen epoch %s; the master is in %s, and goes up by %d terms at a time. "+
		"Is the device in wrong hands? If not, have it join again.", seen, l.epoch, maxTermJump))
}

// advance begins an epoch above the highest that a node has shown, if there is one, and says so.
func (l *Link) advance(now clock.Now) error {
	seen, node := l.rank.above, l.rank.by
	l.rank.above, l.rank.by = message.Epoch{}, ""
	if node == "" {
		return nil
	}
	if l.config.Outranked != nil {
		l.askToAdvance(now, seen)
		return nil
	}
	if !l.mayAdvance(now) {
		return nil
	}
	before := l.epoch
	if err := l.config.Advance(change.Epoch(seen)); err != nil {
		l.log.Error().Err(err).Str("node", node).Stringer("epoch", seen).Msg("no epoch begun above the one that the node has seen")
		return nil // it says so again
	}
	if err := l.start(now); err != nil {
		return err
	}
	l.log.Warn().Str("node", node).Stringer("seen", seen).Stringer("before", before).Stringer("epoch", l.epoch).
		Msg("the node has seen more than this master's state: it was restored from a backup, it seems; a new epoch is begun, in which nodes obey again")
	l.recordEvent(now, node, "EpochAdvanced", fmt.Sprintf("This node had seen epoch %s, the master was in %s: its store is older, as from a backup. "+
		"The master has begun epoch %s, in which nodes obey it; what was written after the backup is lost.", seen, before, l.epoch))
	return nil
}

// askToAdvance leaves it to who knows the other masters. Asking again in the same epoch takes no further step.
func (l *Link) askToAdvance(now clock.Now, seen message.Epoch) {
	if l.rank.asked != l.epoch {
		if !l.mayAdvance(now) {
			return
		}
		l.rank.asked = l.epoch
	}
	l.config.Outranked(change.Epoch(seen))
}

// mayAdvance takes one of the steps that are left.
func (l *Link) mayAdvance(now clock.Now) bool {
	r := &l.rank
	for r.spent > 0 && now.Reached(r.refund) {
		r.spent, r.refund = r.spent-1, r.refund.Add(advanceEvery)
	}
	if r.spent == maxAdvances {
		return false
	}
	if r.spent == 0 {
		r.refund = now.Add(advanceEvery)
	}
	r.spent++
	return true
}
