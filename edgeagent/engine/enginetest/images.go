package enginetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

var images = map[string]func(*testing.T, *bench){
	"a pulled image is present under its name and digest": func(t *testing.T, b *bench) {
		digest, err := b.Engine.Pull(ctx(t), b.Image, false, nil)
		if err != nil || digest == "" {
			t.Fatalf("Pull = %q, %v", digest, err)
		}
		list, err := b.Engine.Images(ctx(t))
		if err != nil {
			t.Fatalf("Images: %v", err)
		}
		if !slices.ContainsFunc(list, func(i engine.Image) bool { return i.Digest == digest && len(i.Names) > 0 }) {
			t.Errorf("Images = %+v, without %s", list, digest)
		}
	},
	"a present image is not fetched again": func(t *testing.T, b *bench) {
		first, err := b.Engine.Pull(ctx(t), b.Image, false, nil)
		if err != nil {
			t.Fatalf("Pull: %v", err)
		}
		again, err := b.Engine.Pull(ctx(t), b.Image, false, func(p engine.Progress) {
			t.Errorf("progress %+v of an image that is present", p)
		})
		if err != nil || again != first {
			t.Errorf("Pull again = %q, %v; want %q", again, err, first)
		}
	},
	"an image that nobody has is not found": func(t *testing.T, b *bench) {
		for _, always := range []bool{false, true} {
			if _, err := b.Engine.Pull(ctx(t), b.Missing, always, nil); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("Pull(always %v) = %v; want ErrNotFound", always, err)
			}
		}
	},
	"what is not an image name is refused": func(t *testing.T, b *bench) {
		if _, err := b.Engine.Pull(ctx(t), "No Such::Name", false, nil); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("Pull = %v; want ErrConfig", err)
		}
	},
	"an image for another machine is refused": func(t *testing.T, b *bench) {
		if b.WrongArch == "" {
			t.Skip("no image for another architecture at hand")
		}
		if _, err := b.Engine.Pull(ctx(t), b.WrongArch, false, nil); !errors.Is(err, engine.ErrWrongArch) {
			t.Errorf("Pull = %v; want ErrWrongArch", err)
		}
	},
}
