package etcdsync

import (
	"context"
	"time"
)

// Found is what etcd has of a cluster.
type Found struct {
	Cluster bool   // its state is there
	Keys    []byte // its keys, wrapped by the recovery key; nil: they are not there
}

// askAgain is how often a master without a state says that it waits for etcd.
const askAgain = 30 * time.Second

// Ask waits until etcd says whether it has the cluster, or ctx ends: an etcd that doesn't answer makes no new one.
func Ask(ctx context.Context, config Config) (Found, error) {
	s := New(config)
	pause, said := firstPause, false
	saidAt := config.Clock()
	for {
		o, err := s.askOnce(ctx)
		if err == nil {
			found := Found{Cluster: o.meta != nil}
			if o.keys != nil {
				w, err := decode[wrapped](s.layout.keys(), o.keys)
				if err != nil {
					return Found{}, err
				}
				found.Keys = w.Keys
			}
			return found, nil
		}
		if ctx.Err() != nil {
			return Found{}, ctx.Err()
		}
		if now := config.Clock(); !said || now.Since(saidAt) >= askAgain {
			config.Logger.Warn().Err(err).Msg("this master has no state of its own and waits for etcd, which does not answer: only etcd can say whether the cluster is new")
			said, saidAt = true, now
		}
		select {
		case <-ctx.Done():
			return Found{}, ctx.Err()
		case <-time.After(jitter(pause)):
		}
		pause = min(2*pause, lastPause)
	}
}

func (s *Sync) askOnce(ctx context.Context) (overview, error) {
	client, err := s.dial(s.config.Server)
	if err != nil {
		return overview{}, err
	}
	defer client.Close()
	s.client = client
	o, err := s.read(ctx)
	return o, diagnose(ctx, s.config.Server, err)
}
