package containerd

import (
	"testing"

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
			Engine:    f.Engine,
			Image:     images.Probe,
			Missing:   s.registry.host + "/no/such:1",
			WrongArch: wrong,
			LogDir:    t.TempDir(),
			Limits:    f.Engine.cgroups.memory != "",
			Again: func() engine.Engine {
				f.again(t)
				return f.Engine
			},
		}
	})
}
