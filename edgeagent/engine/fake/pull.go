package fake

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// errRegistry is what a pull comes to while the registry does not answer.
var errRegistry = errors.New("the registry does not answer")

// imageName is a rough form of what references look like.
var imageName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/@-]*(:[A-Za-z0-9._-]+)?$`)

// Pull implements engine.Engine.
func (e *Engine) Pull(ctx context.Context, image string, always bool, progress func(engine.Progress)) (string, error) {
	found, have, offline, err := e.lookUp(ctx, image)
	switch {
	case err != nil:
		return "", err
	case have != "" && !always:
		return have, nil
	}
	say := func(p engine.Progress) {
		if progress != nil {
			progress(p)
		}
	}
	say(engine.Progress{Status: "resolving"})
	if offline {
		return "", fmt.Errorf("pull %s: %w", image, errRegistry)
	}
	say(engine.Progress{Status: "downloading", Total: found.Bytes})
	if found.PullTime > 0 {
		if err := e.sleep(ctx, found.PullTime); err != nil {
			return "", fmt.Errorf("pull %s: %w", image, err)
		}
	}
	if found.Err != nil {
		return "", fmt.Errorf("pull %s: %w", image, found.Err)
	}
	e.mu.Lock()
	defer e.unlockAndWake()
	e.counts.Pulls++
	got := engine.Image{Names: []string{image}, Digest: digest(image, found), Bytes: found.Bytes}
	e.present[image] = got
	return got.Digest, nil
}

// lookUp says what the registry has under a name, and the digest of what is present already.
func (e *Engine) lookUp(ctx context.Context, image string) (found Image, have string, offline bool, err error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Pull); err != nil {
		return Image{}, "", false, err
	}
	if !imageName.MatchString(image) {
		return Image{}, "", false, fmt.Errorf("pull %q: not an image name: %w", image, engine.ErrConfig)
	}
	found, known := e.registry[image]
	have = e.present[image].Digest
	if !known && !e.cfg.AnyImage && !e.offline {
		return Image{}, "", false, fmt.Errorf("pull %s: %w", image, engine.ErrNotFound)
	}
	return found, have, e.offline, nil
}
