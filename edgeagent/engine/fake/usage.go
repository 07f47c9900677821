package fake

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Usage implements engine.Engine: what the containers' Behaviour says.
func (e *Engine) Usage(ctx context.Context) ([]engine.Usage, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Usage); err != nil {
		return nil, err
	}
	now := e.cfg.Now()
	var out []engine.Usage
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		c := e.containers[id]
		if c.state != engine.Running {
			continue
		}
		out = append(out, engine.Usage{
			ID: id, Labels: maps.Clone(c.spec.Labels), At: now.Wall,
			CPU:    (now.Boot - c.startAt) / time.Duration(1000) * time.Duration(c.behaviour.CPUMilli),
			Memory: c.behaviour.MemoryBytes,
		})
	}
	return out, nil
}
