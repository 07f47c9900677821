package etcdsync

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// What a leader does that is cut off is the cluster's, not a master's own: the others rely on it. It belongs to a term, is
// written in the transaction that wins the term, and never changes within it. A master whose flag says nothing takes over what
// the last term had.

// metaCutOff is the setting that remembers the choice of the newest term known here, for a start without etcd.
const metaCutOff = "etcd cut off"

// wanted is the choice for a term that this master is about to win; last is the newest that etcd knows, which is an old one
// where etcd was restored from a backup.
func (s *Sync) wanted(last term) CutOff {
	if last.Number < s.store.Epoch().Term {
		last.CutOff = ""
	}
	return cmp.Or(s.config.CutOff, last.CutOff, s.cutOffNow(), CutOffLead)
}

// cutOffNow is the choice that holds; empty: none is known.
func (s *Sync) cutOffNow() CutOff {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutOff
}

// setCutOff remembers the choice that holds; it does before this master, or another one that relies on it, acts by it.
func (s *Sync) setCutOff(choice CutOff) error {
	if choice == "" {
		return nil
	}
	if own := s.config.CutOff; own != "" && own != choice && s.warned != choice {
		s.warned = choice
		s.config.Logger.Warn().Str("flag", string(own)).Str("holds", string(choice)).
			Msg("--when-cut-off is the cluster's: another master has chosen otherwise, and that holds until this one leads")
	}
	if choice == s.cutOffNow() {
		return nil
	}
	if err := s.store.SetMeta(metaCutOff, []byte(choice)); err != nil {
		return fatal(err)
	}
	s.mu.Lock()
	s.cutOff = choice
	s.mu.Unlock()
	s.moved.ring()
	return nil
}

// recallCutOff reads what setCutOff has remembered.
func (s *Sync) recallCutOff() error {
	value, err := s.store.Meta(metaCutOff)
	if err != nil {
		return fmt.Errorf("read what the cluster does when it is cut off: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutOff = CutOff(value)
	return nil
}

// mayLeadAlone reports whether this master may lead before it has met etcd: not if the others rely on its having stopped.
func (s *Sync) mayLeadAlone() bool {
	return s.cutOffNow() != CutOffYield && s.config.CutOff != CutOffYield
}

// yields reports whether this master stops leading before its lease ends.
func (s *Sync) yields() bool { return s.cutOffNow() == CutOffYield }

// checkYield stops leading in time if that is what the cluster does when it is cut off.
func (s *Sync) checkYield(now clock.Now) error {
	lead := s.leading()
	if lead == nil || !s.yields() || !now.Add(yieldMargin).Reached(s.lease(lead)) {
		return nil
	}
	return s.stepDown("etcd is away and the lease ends (--when-cut-off yield)")
}

// watchLease stops leading in time, whatever else is waited for. It costs nothing while there is nothing to watch.
func (s *Sync) watchLease(ctx context.Context) error {
	ticker := time.NewTicker(yieldMargin / 20)
	ticker.Stop()
	defer ticker.Stop()
	watching := false
	for {
		moved := s.moved.next()
		if watches := s.leading() != nil && s.yields(); watches != watching {
			if watching = watches; watching {
				ticker.Reset(yieldMargin / 20)
			} else {
				ticker.Stop()
			}
		}
		select {
		case <-ticker.C:
			if err := s.checkYield(s.config.Clock()); err != nil {
				return err
			}
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}
