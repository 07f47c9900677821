package containerd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/enginetest"
	"github.com/skerry-edge/skerry/test/images"
)

// The engine keeps the contract, on a real containerd.
func TestContract(t *testing.T) {
	s := need(t)
	// An image for an architecture that no machine runs this test on.
	foreign, err := images.Make(v1.Platform{OS: "linux", Architecture: "s390x"}, v1.Config{Cmd: []string{"/x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrong := s.registry.push(t, "foreign:1", foreign)
	enginetest.Run(t, func(t *testing.T) enginetest.World {
		f := newFixture(t).imported(t)
		return enginetest.World{
			Engine:    settled{f.Engine},
			Image:     images.Probe,
			Missing:   s.registry.host + "/no/such:1",
			WrongArch: wrong,
			LogDir:    t.TempDir(),
			Limits:    f.Engine.cgroups.memory != "",
			Quota:     f.Engine.cgroups.quota,
			Again: func() engine.Engine {
				f.again(t)
				return settled{f.Engine}
			},
		}
	})
}

// settled is an engine whose Start also waits until the probe handles signals, which the suite takes for
// granted: on a busy machine a Stop would come before it.
type settled struct{ *Engine }

func (s settled) Start(ctx context.Context, spec engine.Spec) error {
	if err := s.Engine.Start(ctx, spec); err != nil {
		return err
	}
	for ctx.Err() == nil {
		list, err := s.Engine.List(ctx)
		if err != nil {
			return err
		}
		waiting := false
		for _, c := range list {
			if c.ID == spec.ID && c.State == engine.Running {
				name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.PID))
				waiting = err == nil && strings.TrimSpace(string(name)) != "ready"
			}
		}
		if !waiting {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}
