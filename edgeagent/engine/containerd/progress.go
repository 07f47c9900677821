package containerd

import (
	"context"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// meter knows what a pull has to fetch and asks containerd how much of it is here.
type meter struct {
	store content.Store

	mu     sync.Mutex
	layers map[digest.Digest]*expected
}

type expected struct {
	desc ocispec.Descriptor
	here bool
}

func newMeter(store content.Store) *meter {
	return &meter{store: store, layers: map[digest.Digest]*expected{}}
}

// expect notes the layers among what a manifest names.
func (m *meter) expect(children []ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range children {
		if images.IsLayerType(d.MediaType) && m.layers[d.Digest] == nil {
			m.layers[d.Digest] = &expected{desc: d}
		}
	}
}

// report tells the progress until ctx ends, and only when it changed.
func (m *meter) report(ctx context.Context, progress func(engine.Progress)) {
	last := engine.Progress{Status: "resolving"}
	progress(last)
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, ok := m.read(ctx)
		if ok && now != last {
			progress(now)
			last = now
		}
	}
}

// read sums up; ok is false when containerd can't be asked right now.
func (m *meter) read(ctx context.Context) (p engine.Progress, ok bool) {
	active, err := m.store.ListStatuses(ctx)
	if err != nil {
		return p, false
	}
	offsets := make(map[string]int64, len(active))
	for _, s := range active {
		offsets[s.Ref] = s.Offset
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Status = "extracting"
	if len(m.layers) == 0 {
		p.Status = "resolving"
	}
	for _, l := range m.layers {
		p.Total += l.desc.Size
		if !l.here {
			if offset, fetching := offsets[remotes.MakeRefKey(ctx, l.desc)]; fetching {
				p.Done += offset
				p.Status = "downloading"
				continue
			}
			if _, err := m.store.Info(ctx, l.desc.Digest); err != nil {
				p.Status = "downloading"
				continue
			}
			l.here = true
		}
		p.Done += l.desc.Size
	}
	return p, true
}
