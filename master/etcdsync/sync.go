package etcdsync

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// State is what a master is to etcd and the other masters.
type State string

// The states.
const (
	Waiting    State = "waiting"     // it has no state to show, and etcd does not answer, or nobody has filled it
	Follower   State = "follower"    // it shows what the leader writes
	Leading    State = "leading"     // what it writes is in etcd before anybody sees it
	Away       State = "away"        // it leads, and keeps a journal of what etcd has not got
	CatchingUp State = "catching up" // it leads, and etcd gets the journal
)

const (
	firstPause  = 250 * time.Millisecond // before etcd is tried again,
	lastPause   = 5 * time.Second        // and the longest: a returning etcd is noticed within it
	loadLimit   = 10 * time.Second       // for a page of objects
	loadRetries = 3
)

// Names of what the store remembers for this package.
const (
	metaID   = "etcd id"   // of this master
	metaRole = "etcd role" // what it was last; nothing: it has never met etcd
	metaSeen = "etcd seen" // the position that was sure when etcd went away last
)

// Roles. Only a master that was not a follower leads without etcd after its restart.
const (
	roleLeader   = "leader"
	roleFollower = "follower"
)

// Sync keeps a store and etcd the same. It is the store's Replicator.
type Sync struct {
	config    Config
	layout    layout
	store     Store
	id        string
	identity  string
	described Master           // this one, to the others
	client    *clientv3.Client // Run's, before its first use by Replicate
	dial      func(Server) (*clientv3.Client, error)
	ready     chan struct{} // closed when the store has a state to show
	kick      chan struct{} // makes Run look at etcd
	moved     bell          // rung when a follower has come further, a lease was kept, or who leads may be another

	stopping sync.Mutex // one stopLeading at a time

	mu        sync.Mutex
	state     State
	lead      *leadership // nil: this master does not lead
	leader    *leader     // as last read in etcd
	position  position    // that etcd has, as far as is known
	refill    bool        // etcd lacks more than the journal says
	problem   error       // why etcd is away
	since     clock.Now   // it is
	synced    bool        // etcd has all that this master shows as written: it leads, or follows what it has adopted
	turned    clock.Now   // since when that is so, or not
	retracted map[change.Key]bool
	masters   []Master // as last read
	peers     bool     // others were alive then
	warned    CutOff   // that another flag was told of; Run's
	cutOff    CutOff   // what holds for the newest known term; empty: not known
	rivals    bool     // others have led before, and may not know that they do so no more
	behind    int      // entries of the journal, as last counted
	// emptySince is when a follower found that etcd had lost its state.
	emptySince clock.Now
	met        bool      // etcd has answered in this run
	syncedNext clock.Now // when the mark of it is renewed; Run's
	keysThere  KeyState  // the wrapped keys that etcd has
	told       string    // the last problem that was logged

	metrics metrics
}

// leadership is one time of leading.
type leadership struct {
	term     atomic.Uint32 // Raise changes it
	election int64         // etcd's revision of this master's key; 0: it has to be taken again
	lease    clientv3.LeaseID
	ends     clock.Now // the lease, at the earliest
	lost     bool      // another master leads; Run ends this one's leading
	stop     context.CancelCauseFunc
	done     chan struct{} // closed when Config.Lead has returned
	err      error         // of Config.Lead
}

// New prepares; Attach and Run follow.
func New(config Config) *Sync {
	if config.TTL == 0 {
		config.TTL = TTL
	}
	return &Sync{
		config: config, layout: newLayout(config.Cluster), state: Waiting, dial: newClient,
		ready: make(chan struct{}), kick: make(chan struct{}, 1), retracted: map[change.Key]bool{},
	}
}

// Attach names the store, which was opened with the Sync as its Replicator, and to follow. identity is the hash of the
// cluster's public keys; self describes this master to the others, ID and Rev are filled in.
func (s *Sync) Attach(local Store, identity string, self Master) error {
	s.store, s.identity, s.described = local, identity, self
	id, err := local.Meta(metaID)
	if err == nil && id == nil {
		var random [8]byte
		if _, err = rand.Read(random[:]); err == nil {
			id = []byte(hex.EncodeToString(random[:]))
			err = local.SetMeta(metaID, id)
		}
	}
	if err != nil {
		return fmt.Errorf("name this master: %w", err)
	}
	s.id = string(id)
	seen, err := local.Meta(metaSeen)
	if err == nil && seen != nil {
		s.position, err = decode[position](metaSeen, seen)
	}
	if err != nil {
		return fmt.Errorf("read what etcd had: %w", err)
	}
	s.described.ID = s.id
	if err := errors.Join(s.recallPeers(), s.recallCutOff()); err != nil {
		return err
	}
	return s.register()
}

// Ready is closed once the store has a state that may be shown: etcd's, or this master's own if it leads.
func (s *Sync) Ready() <-chan struct{} { return s.ready }

// Run follows and leads until ctx ends. Its error is one that a restart may mend.
func (s *Sync) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.end()) }()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.watchLease(ctx) })
	parts.Go(func() error { return s.loop(ctx) })
	return parts.Wait()
}

// loop attempts until ctx ends, with pauses.
func (s *Sync) loop(ctx context.Context) error {
	pause := firstPause
	for {
		began := s.config.Clock()
		err := s.attempt(ctx)
		if fatal := (*fatalError)(nil); errors.As(err, &fatal) {
			return fatal.error
		}
		if ctx.Err() != nil {
			return nil
		}
		if s.config.Clock().Since(began) > lastPause {
			pause = firstPause
		}
		if err := s.noteAway(diagnose(ctx, s.config.Server, err)); err != nil {
			return err
		}
		if err := s.wait(ctx, jitter(pause)); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// fatalError ends Run.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

func fatal(err error) error { return &fatalError{err} }

// jitter is between half of d and all of it.
func jitter(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d/2)))
	if err != nil {
		return d
	}
	return d/2 + time.Duration(n.Int64())
}

// wait passes the time until the next attempt.
func (s *Sync) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.leadEnded():
		return s.stopLeading("the loops of the leader have ended", false)
	case <-ctx.Done():
	}
	return nil
}

// attempt does what is due as long as etcd answers. It returns why it stopped.
func (s *Sync) attempt(ctx context.Context) error {
	if s.client == nil {
		client, err := s.dial(s.config.Server)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.client = client
		s.mu.Unlock()
	}
	o, err := s.read(ctx)
	if err != nil {
		return err
	}
	if err := s.checkCluster(o); err != nil {
		return err
	}
	s.mu.Lock()
	s.keysThere = KeyState{} // of what is there now, if it is of this cluster
	s.mu.Unlock()
	s.noteKeys(o.keys, false)
	if lead := s.leading(); lead != nil {
		return s.resume(ctx, lead, o)
	}
	return s.follow(ctx, o)
}

// checkCluster sees to it that etcd holds this cluster and no other.
func (s *Sync) checkCluster(o overview) error {
	switch {
	case o.meta == nil:
		return nil
	case o.meta.Format != formatNumber:
		return fatal(fmt.Errorf("the cluster %s in etcd has format %d, which is not known here: use the skerry-master that wrote it, or a newer one", s.config.Cluster, o.meta.Format))
	case o.meta.Identity != s.identity:
		return fatal(fmt.Errorf("etcd holds a cluster %q with other keys than this data directory: start with an empty data directory to join it (--join-masters) or to restore it (--recovery-key), or choose another --cluster-name", s.config.Cluster))
	}
	text, err := s.store.OpenSetting(checkName, o.meta.Check)
	if err != nil || string(text) != checkText {
		return fatal(fmt.Errorf("the Secrets of the cluster %q in etcd are encrypted under a key that is not in this data directory: put secrets.key of another master there", s.config.Cluster))
	}
	return nil
}

func (s *Sync) leading() *leadership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lead
}

// wake makes Run look at etcd soon.
func (s *Sync) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// end stops leading, and leaves the election to others.
func (s *Sync) end() error {
	s.mu.Lock()
	promises := s.state == Leading && s.peers
	s.mu.Unlock()
	lead := s.leading()
	err := s.stopLeading("the master ends", false)
	if s.client == nil {
		return err
	}
	ctx, cancel := ask(context.Background())
	defer cancel()
	if lead != nil && promises && err == nil {
		// Others rely on it: started again without etcd, this master does not lead.
		if err = s.setRole(roleFollower); err == nil {
			if unsaid := s.sayEnded(ctx); unsaid != nil {
				s.config.Logger.Warn().Err(unsaid).Msg("the next leader will wait for the nodes before pods that run at most once may move")
			}
		}
	}
	if lead != nil && lead.lease != 0 {
		s.client.Revoke(ctx, lead.lease) // or it ends by itself
	}
	s.client.Close()
	return err
}

func (s *Sync) setRole(role string) error {
	if old, err := s.store.Meta(metaRole); err == nil && string(old) == role {
		return nil
	}
	if err := s.store.SetMeta(metaRole, []byte(role)); err != nil {
		return fatal(err)
	}
	return nil
}
