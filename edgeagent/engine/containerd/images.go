package containerd

import (
	"context"
	"sort"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Labels of an image.
const (
	labelPinned  = "skerry.dev/pinned"
	labelArchive = "skerry.dev/archive" // the file it was imported from: name, size, time
)

// Images lists what is present, by digest.
func (e *Engine) Images(ctx context.Context) ([]engine.Image, error) {
	ctx = e.in(ctx)
	all, err := e.client.ListImages(ctx)
	if err != nil {
		return nil, translate(err, "list images")
	}
	byDigest := map[string]*engine.Image{}
	for _, img := range all {
		digest := img.Target().Digest.String()
		i := byDigest[digest]
		if i == nil {
			size, err := e.size(ctx, img)
			if errdefs.IsNotFound(err) {
				continue // half removed: not present
			}
			if err != nil {
				return nil, translate(err, "list images")
			}
			i = &engine.Image{Digest: digest, Bytes: size}
			byDigest[digest] = i
		}
		i.Names = append(i.Names, img.Name())
		_, pinned := img.Labels()[labelPinned]
		i.Pinned = i.Pinned || pinned
	}
	list := make([]engine.Image, 0, len(byDigest))
	for _, i := range byDigest {
		sort.Strings(i.Names)
		list = append(list, *i)
	}
	sort.Slice(list, func(a, b int) bool { return list[a].Names[0] < list[b].Names[0] })
	e.forgetSizes(byDigest)
	return list, nil
}

// size is what an image takes as it is stored, compressed. Adding it up costs a call for each layer, so it
// is remembered.
func (e *Engine) size(ctx context.Context, img client.Image) (int64, error) {
	digest := img.Target().Digest.String()
	e.sizesMu.Lock()
	size, known := e.sizes[digest]
	e.sizesMu.Unlock()
	if known {
		return size, nil
	}
	size, err := img.Size(ctx)
	if err == nil {
		e.sizesMu.Lock()
		e.sizes[digest] = size
		e.sizesMu.Unlock()
	}
	return size, err
}

func (e *Engine) forgetSizes(present map[string]*engine.Image) {
	e.sizesMu.Lock()
	defer e.sizesMu.Unlock()
	for digest := range e.sizes {
		if present[digest] == nil {
			delete(e.sizes, digest)
		}
	}
}
