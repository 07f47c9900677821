package etcdsync

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Status is what people and the API are told.
type Status struct {
	State State
	ID    string // of this master
	// Leader is who leads, as far as this master knows; nil: nobody.
	Leader *Master
	Term   uint32 // the leader's
	// Behind is the number of objects that etcd has not got; Since for how long it has been away, 0 if it is not.
	Behind  int
	Since   time.Duration
	Problem error
	CutOff  CutOff // that holds; empty: not known
	// Synced: etcd has all that this master shows as written. Turned is since when that is so, or not; zero: it has not met etcd.
	Synced bool
	Turned time.Time
}

// Status is the present one.
func (s *Sync) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{State: s.state, ID: s.id, Behind: s.behind, Problem: s.problem, CutOff: s.cutOff, Synced: s.synced, Turned: s.turned.Wall}
	if s.problem != nil {
		out.Since = s.config.Clock().Since(s.since)
	}
	if s.leader != nil {
		who := s.leader.Master
		out.Leader, out.Term = &who, s.leader.Term
	}
	if s.lead != nil {
		out.Term = s.lead.term.Load()
	}
	return out
}

// String is one line for /readyz.
func (s Status) String() string {
	line := string(s.State)
	switch {
	case s.State == Follower && s.Leader != nil:
		line += ", " + s.Leader.Name + " leads at " + s.Leader.API
	case s.State == Follower:
		line += ", nobody leads"
	}
	if s.Term > 0 {
		line += fmt.Sprintf(" in term %d", s.Term)
	}
	if s.Behind > 0 {
		line += fmt.Sprintf("; %d objects are not in etcd", s.Behind)
	}
	if s.Problem != nil {
		line += fmt.Sprintf("; etcd has been away for %s: %v", s.Since.Round(time.Second), s.Problem)
	}
	return line
}

// self describes this master as it is now.
func (s *Sync) self() Master {
	m := s.described
	m.ID = s.id
	m.Rev, _ = s.store.Position()
	return m
}

// noteAway notes that etcd did not answer, or not as it should, and lets a master that may lead alone do so.
func (s *Sync) noteAway(err error) error {
	if err == nil {
		return nil
	}
	own, storeErr := s.store.Position()
	if storeErr != nil {
		return storeErr
	}
	s.mu.Lock()
	first := s.problem == nil || s.told == ""
	if s.problem == nil {
		s.since = s.config.Clock()
	}
	news := s.told != err.Error()
	s.problem, s.told = err, err.Error()
	lead, met := s.lead, s.met
	if lead != nil {
		s.state = Away
	}
	s.turn(false)
	s.mu.Unlock()
	s.moved.ring()
	if news {
		s.config.Logger.Warn().Err(err).Msg("etcd is away")
	}
	if lead != nil {
		if first {
			if err := s.store.SetMeta(metaSeen, []byte(encode(s.known()))); err != nil {
				return err
			}
			s.tell("EtcdAway", "etcd is away: the master goes on and keeps a journal of what etcd has not got. "+err.Error(), true)
		}
		return s.countBehind()
	}
	if own == 0 {
		return nil
	}
	role, storeErr := s.store.Meta(metaRole)
	if storeErr != nil {
		return storeErr
	}
	if !met && s.mayLeadAlone() && string(role) != roleFollower {
		s.config.Logger.Warn().Msg("etcd is away, and this master was the last to lead as far as it knows: it leads from what it has")
		if err := s.beginAlone(); err != nil {
			return err
		}
		s.tell("EtcdAway", "etcd is away: the master leads from what it has, and keeps a journal of what etcd has not got. "+err.Error(), true)
		return s.countBehind()
	}
	s.mu.Lock()
	s.state = Follower
	s.mu.Unlock()
	s.markReady()
	return nil
}

// turn notes whether etcd has all that this master shows; mu is held.
func (s *Sync) turn(synced bool) {
	if s.synced != synced || s.turned == (clock.Now{}) {
		s.synced, s.turned = synced, s.config.Clock()
	}
}

func (s *Sync) countBehind() error {
	entries, err := s.store.Journal()
	if err == nil {
		s.noteBehind(len(entries))
	}
	return err
}

// noteBack notes that etcd has everything.
func (s *Sync) noteBack() {
	s.mu.Lock()
	was, away := s.problem, time.Duration(0)
	if was != nil {
		away = s.config.Clock().Since(s.since)
	}
	s.problem, s.told = nil, ""
	s.mu.Unlock()
	if was == nil {
		return
	}
	s.config.Logger.Info().Dur("away", away).Msg("etcd is back and has everything")
	s.tell("EtcdSynced", "etcd is back and has everything that was written meanwhile.", false)
}

func (s *Sync) noteBehind(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = n
}

func (s *Sync) tell(reason, message string, warning bool) {
	if s.config.Tell != nil {
		s.config.Tell(reason, message, warning)
	}
}

// metrics that are counted; the others are read from the Status.
type metrics struct {
	conflicts prometheus.Counter
}

func (s *Sync) register() error {
	s.metrics.conflicts = prometheus.NewCounter(prometheus.CounterOpts{Name: "skerry_etcd_conflicts_total",
		Help: "Writes of users that lost against those of another master, and were kept as conflicts."})
	if s.config.Registerer == nil {
		return nil
	}
	gauge := func(name, help string, read func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return read(s.Status()) })
	}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for _, c := range []prometheus.Collector{
		s.metrics.conflicts,
		gauge("skerry_etcd_up", "1 while etcd answers.", func(now Status) float64 { return flag(now.Problem == nil) }),
		gauge("skerry_etcd_synced", "1 while everything that this master shows is in etcd.",
			func(now Status) float64 { return flag(now.Synced) }),
		gauge("skerry_etcd_journal_objects", "Objects that etcd has not got as they are here.", func(now Status) float64 { return float64(now.Behind) }),
		gauge("skerry_etcd_away_seconds", "For how long etcd has been away.", func(now Status) float64 { return now.Since.Seconds() }),
		gauge("skerry_etcd_leading", "1 while this master leads.",
			func(now Status) float64 {
				return flag(now.State == Leading || now.State == Away || now.State == CatchingUp)
			}),
		gauge("skerry_etcd_term", "The newest term that this master knows of.", func(now Status) float64 { return float64(now.Term) }),
	} {
		if err := s.config.Registerer.Register(c); err != nil {
			return fmt.Errorf("register the metrics of etcd: %w", err)
		}
	}
	return nil
}
