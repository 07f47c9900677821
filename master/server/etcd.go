package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
)

// meetEtcd prepares the store for being shared.
func (s *Server) meetEtcd(ctx context.Context, files *bolt.Config) error {
	server, err := s.config.Etcd.server()
	if err != nil {
		return err
	}
	if s.config.Etcd.plain {
		s.daemon.Log.Warn().Strs("etcd", s.config.Etcd.URLs).Msg("etcd is reached without encryption: whoever is on the way reads and changes the cluster's state")
	}
	config := etcdsync.Config{
		Server: server, Cluster: s.config.Cluster, CutOff: etcdsync.CutOff(s.config.Etcd.CutOff),
		Lead: s.lead, Changed: s.wakeLink, Tell: s.tellEtcd, TellOf: s.tellOf, Keys: sharedKeys{s}, Clock: daemon.Clock, Logger: s.daemon.Log, Registerer: s.daemon.Registry,
	}
	if err := s.obtainKeys(ctx, config); err != nil {
		return err
	}
	s.sync = etcdsync.New(config)
	files.Replicator, files.Follows, files.UserWrite = s.sync, true, merge.UserWrite
	return nil
}

// brokers are what nodes choose from: nothing that the join token would not name, unless there are several masters.
func (s *Server) brokers() []string {
	if s.sync == nil || s.broker == nil {
		return nil
	}
	all := s.sync.Brokers()
	return all[:min(len(all), message.MaxBrokers)]
}

// wakeLink has nodes told soon.
func (s *Server) wakeLink() {
	if link := s.link.Load(); link != nil {
		link.Wake()
	}
}

// outranked is what happens when a node has seen a higher epoch; nil: a person is told what to do.
func (s *Server) outranked(ctx context.Context) func(change.Epoch) {
	if s.sync == nil {
		return nil
	}
	var busy atomic.Bool
	return func(seen change.Epoch) {
		if ctx.Err() != nil || !busy.CompareAndSwap(false, true) {
			return // the node says it again
		}
		go func() {
			defer busy.Store(false)
			if err := s.sync.Raise(seen); err != nil {
				s.daemon.Log.Warn().Err(err).Stringer("epoch", seen).Msg("a node has seen a higher epoch than this master's")
			}
		}()
	}
}

// attachEtcd joins store and etcd, and says what the API tells of the masters; nil: there is no etcd.
func (s *Server) attachEtcd() (apiserver.Masters, error) {
	if s.sync == nil {
		return nil, nil
	}
	self := etcdsync.Master{Name: s.host, API: s.apiURL(), Version: daemon.Version}
	if s.broker != nil {
		self.Brokers = s.tokens.token.Brokers
	}
	if err := s.sync.Attach(s.store, s.id.fingerprint(), self); err != nil {
		return nil, err
	}
	s.tokens.masters = &masterTokens{dir: s.config.DataDir, apis: s.apis, tell: s.tellEtcd,
		synced: func() bool { return s.sync.Status().State == etcdsync.Leading }}
	s.saver.mayChange, s.saver.changed = s.mayShare, s.share
	s.daemon.Health.Note("etcd", func() string { return s.sync.Status().String() })
	return masters{s}, nil
}

// apis are the URLs under which masters are asked, this one's first.
func (s *Server) apis(ctx context.Context) []string {
	var out []string
	for _, address := range s.config.advertised(s.config.APIListen, s.machine) {
		out = append(out, "https://"+net.JoinHostPort(address, s.apiPort()))
	}
	out = out[:min(len(out), maxAdvertised)]
	all, _ := s.sync.Masters(ctx) // or those that were there when etcd last answered
	for _, m := range all {
		if m.API != "" && len(out) < maxTokenBrokers && !slices.Contains(out, m.API) {
			out = append(out, m.API)
		}
	}
	return out
}

// awaitState waits until there is a state that may be shown; false: ctx has ended.
func (s *Server) awaitState(ctx context.Context) bool {
	if s.sync != nil {
		select {
		case <-s.sync.Ready():
		case <-ctx.Done():
			return false
		}
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		if s.sync != nil && s.sync.Status().State == etcdsync.Follower {
			return true
		}
		select {
		case <-s.prepared:
			return true
		case <-ctx.Done():
			return false
		case <-poll.C: // it may have ceased to lead before it was prepared
		}
	}
}

// fingerprint is the hash of the cluster's public keys.
func (id identity) fingerprint() string {
	exchange, signing := id.keys.Public()
	h := sha256.New()
	h.Write(exchange[:])
	h.Write(signing[:])
	h.Write(id.ca.Certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// tellEtcd records what happens with etcd as an Event of the namespace kube-system.
func (s *Server) tellEtcd(reason, message string, warning bool) {
	kind := corev1.EventTypeNormal
	if warning {
		kind = corev1.EventTypeWarning
	}
	s.recordEvent(resource.Namespaces, resource.Namespaces.Key("", "kube-system"), kind, reason, message)
}

// tellOf records what happened to one object, as an Event of it; one that the API does not serve has none.
func (s *Server) tellOf(key change.Key, reason, message string) {
	view := s.store.View()
	of := resource.ByKind(key.Kind)
	_, there := view.Get(resource.Namespaces.Key("", key.Namespace))
	if of == nil || key.Namespace != "" && !there {
		of, message = resource.Namespaces, key.String()+": "+message
		key = resource.Namespaces.Key("", "kube-system")
	}
	s.recordEvent(of, key, corev1.EventTypeWarning, reason, message)
}

// recordEvent records an Event about an object, which may be gone.
func (s *Server) recordEvent(of *resource.Resource, key change.Key, kind, reason, message string) {
	view := s.store.View()
	about := of.Reference(key.Namespace, key.Name, "")
	if rec, ok := view.Get(key); ok {
		if meta, err := resource.Meta(rec.Value); err == nil {
			about.UID = meta.UID
		}
	}
	write, err := resource.RecordEvent(view, resource.Occurrence{
		About: about, Type: kind, Reason: reason, Message: message, Component: "skerry-master", Host: s.host,
	}, daemon.Clock().Wall)
	if err == nil {
		_, err = s.store.Commit(context.Background(), []change.Change{write})
	}
	if err != nil {
		s.daemon.Log.Warn().Err(err).Str("reason", reason).Msg("event not recorded")
	}
}

// masters implements apiserver.Masters.
type masters struct{ *Server }

// Elsewhere implements apiserver.Masters.
func (m masters) Elsewhere() (url string, elsewhere bool) {
	now := m.sync.Status()
	switch {
	case now.State != etcdsync.Follower && now.State != etcdsync.Waiting:
		return "", false
	case now.Leader == nil || now.Leader.ID == now.ID:
		return "", true
	}
	return now.Leader.API, true
}

// Fresh implements apiserver.Masters.
func (m masters) Fresh(ctx context.Context) error { return m.sync.Fresh(ctx) }

// Standing implements apiserver.Masters.
func (m masters) Standing() string { return m.sync.Standing() }

// Forget implements apiserver.Masters.
func (m masters) Forget(ctx context.Context, id string) (found bool, err error) {
	found, err = m.sync.ForgetMaster(ctx, id)
	if errors.Is(err, etcdsync.ErrAlive) {
		err = apiserver.ErrMasterAlive
	}
	return found, err
}

// synced is the condition EtcdSynced.
func synced(now etcdsync.Status) metav1.Condition {
	c := metav1.Condition{Type: "EtcdSynced", Status: metav1.ConditionFalse, Reason: "EtcdAway", Message: now.String(), LastTransitionTime: metav1.NewTime(now.Turned)}
	if now.Synced {
		c.Status, c.Reason = metav1.ConditionTrue, "EtcdSynced"
	}
	return c
}

// List implements apiserver.Masters.
func (m masters) List(ctx context.Context) apiserver.MasterList {
	status := m.sync.Status()
	out := apiserver.MasterList{Epoch: m.store.Epoch().String(), Etcd: status.String(), CutOff: string(status.CutOff),
		Conditions: []metav1.Condition{synced(status)}, Items: []apiserver.Master{}}
	all, err := m.sync.Masters(ctx)
	if err != nil {
		out.Problem = err.Error()
	}
	for _, each := range all {
		item := apiserver.Master{Name: each.Name, ID: each.ID, API: each.API, Version: each.Version, Brokers: each.Brokers,
			Role: "follower", Self: each.ID == status.ID, Alive: each.Alive}
		if each.Rev > 0 {
			item.Revision = each.Rev.String()
		}
		if status.Leader != nil && each.ID == status.Leader.ID {
			item.Role = "leader"
		}
		out.Items = append(out.Items, item)
	}
	return out
}
