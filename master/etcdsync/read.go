package etcdsync

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// overview is what etcd says of itself at one of its revisions.
type overview struct {
	meta      *meta // nil: there is no cluster
	term      term
	position  position
	leader    *leader // nil: nobody leads
	election  int64   // etcd's revision of the leader's key; 0: there is none
	refilling bool    // what is there is not all
	revision  int64   // etcd's, at which all this is so
	keys      []byte
}

// read asks for all of it at once.
func (s *Sync) read(ctx context.Context) (o overview, err error) {
	ctx, cancel := ask(ctx)
	defer cancel()
	l := s.layout
	answer, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(l.meta()), clientv3.OpGet(l.epoch()), clientv3.OpGet(l.position()), clientv3.OpGet(l.election()),
		clientv3.OpGet(l.refilling()), clientv3.OpGet(l.keys())).Commit()
	if err != nil {
		return o, explain(err)
	}
	o.revision = answer.Header.Revision
	for _, part := range answer.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			switch key := string(kv.Key); key {
			case l.meta():
				var m meta
				if m, err = decode[meta](key, kv.Value); err == nil {
					o.meta = &m
				}
			case l.epoch():
				o.term, err = decode[term](key, kv.Value)
				o.term.mod = kv.ModRevision
			case l.position():
				o.position, err = decode[position](key, kv.Value)
				o.position.mod = kv.ModRevision
			case l.election():
				var who leader
				if who, err = decode[leader](key, kv.Value); err == nil {
					o.leader, o.election = &who, kv.ModRevision
				}
			case l.refilling():
				o.refilling = true
			case l.keys():
				o.keys = kv.Value
			}
			if err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// page is how many objects are read at once: of the largest size they would still fit into the memory of a Pi.
const page = 200

// load reads all objects at one revision of etcd. An error in between costs a page, not what was read before.
func (s *Sync) load(ctx context.Context, revision int64) (map[change.Key]change.Record, error) {
	held := map[change.Key]change.Record{}
	from, end := s.layout.objects(), clientv3.GetPrefixRangeEnd(s.layout.objects())
	for failures := 0; ; {
		asked, cancel := context.WithTimeout(ctx, loadLimit)
		answer, err := s.client.Get(asked, from, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(page))
		cancel()
		if err != nil {
			if failures++; failures > loadRetries || ctx.Err() != nil {
				return nil, fmt.Errorf("read the objects: %w", explain(err))
			}
			continue
		}
		for _, kv := range answer.Kvs {
			rec, err := s.record(string(kv.Key), kv.Value)
			if err != nil {
				return nil, err
			}
			held[rec.Key] = rec
		}
		if !answer.More {
			return held, nil
		}
		from, failures = string(answer.Kvs[len(answer.Kvs)-1].Key)+"\x00", 0
	}
}

// record is an object as it came from etcd.
func (s *Sync) record(key string, stored []byte) (change.Record, error) {
	k, err := s.layout.parseObject(key)
	if err != nil {
		return change.Record{}, err
	}
	rev, sealed, err := decodeObject(stored)
	if err != nil {
		return change.Record{}, fmt.Errorf("%s in etcd: %w", k, err)
	}
	value, err := s.store.OpenValue(k, sealed)
	if err != nil {
		return change.Record{}, fmt.Errorf("%w in etcd: every master needs the same secrets.key", err)
	}
	return change.Record{Key: k, Rev: rev, Value: value}, nil
}
