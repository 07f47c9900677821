package containerd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Pull makes an image present.
func (e *Engine) Pull(ctx context.Context, image string, always bool, progress func(engine.Progress)) (string, error) {
	ctx = e.in(ctx)
	name, err := fullName(image)
	if err != nil {
		return "", pullError(err, image)
	}
	done, err := e.turns.take(ctx, "image "+name)
	if err != nil {
		return "", err
	}
	defer done()
	if !always {
		digest, err := e.present(ctx, name)
		if err == nil {
			return digest, nil
		}
		if !errdefs.IsNotFound(err) {
			return "", pullError(err, image)
		}
	}
	img, err := e.fetch(ctx, name, progress)
	if err != nil {
		return "", pullError(e.explainMissing(err, name), image)
	}
	return img.Target().Digest.String(), nil
}

// fullName is the name that registries and containerd know: docker.io/library/busybox:latest.
func fullName(image string) (string, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", fmt.Errorf("%w: %q is not an image name: %w", engine.ErrConfig, image, err)
	}
	return named.String(), nil
}

// present checks that an image is here, whole, for this machine and unpacked, and unpacks it if only that is
// missing. A NotFound of containerd's means that it has to be fetched.
func (e *Engine) present(ctx context.Context, name string) (digest string, err error) {
	img, err := e.client.GetImage(ctx, name)
	if err != nil {
		return "", err
	}
	if _, err := e.configOf(ctx, img); err != nil {
		return "", err
	}
	unpacked, err := img.IsUnpacked(ctx, e.Snapshotter)
	if err != nil {
		return "", err
	}
	if !unpacked {
		if err := e.unpack(ctx, img); err != nil {
			return "", err
		}
	}
	return img.Target().Digest.String(), nil
}

// unpack makes the snapshots of an image whose layers are here.
func (e *Engine) unpack(ctx context.Context, img client.Image) error {
	if err := img.Unpack(ctx, e.Snapshotter, syncLayers); err != nil {
		return err
	}
	return e.syncDisk(ctx)
}

// syncLayers asks containerd 2 to sync a layer before it commits the snapshot: after a power cut, files of an
// unsynced one can be empty, and nothing would ever repair them.
func syncLayers(_ context.Context, c *client.UnpackConfig) error {
	c.ApplyOpts = append(c.ApplyOpts, diff.WithSyncFs(true))
	return nil
}

// syncDisk does what containerd 1 can't: it syncs once the image is whole.
func (e *Engine) syncDisk(ctx context.Context) error {
	e.syncMu.Lock()
	version := e.version
	e.syncMu.Unlock()
	if version == "" {
		var err error
		if version, err = e.Version(ctx); err != nil {
			return err
		}
	}
	if strings.HasPrefix(version, "1.") {
		unix.Sync()
	}
	return nil
}

// fetch gets the image from its registry. The config comes before the layers and is checked first, so that
// nothing is downloaded for another machine.
func (e *Engine) fetch(ctx context.Context, name string, progress func(engine.Progress)) (client.Image, error) {
	meter := newMeter(e.client.ContentStore())
	if progress != nil {
		watch, stop := context.WithCancel(ctx)
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			meter.report(watch, progress)
		}()
		defer func() { stop(); <-watched }()
	}
	store := e.client.ContentStore()
	check := func(next images.Handler) images.Handler {
		return images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
			children, err := next.Handle(ctx, desc)
			if err != nil {
				return children, err
			}
			meter.expect(children)
			if images.IsConfigType(desc.MediaType) {
				return children, e.checkConfig(ctx, store, desc)
			}
			return children, nil
		})
	}
	img, err := e.client.Pull(ctx, name,
		client.WithPlatformMatcher(e.match),
		client.WithResolver(docker.NewResolver(docker.ResolverOptions{
			Hosts: docker.ConfigureDefaultRegistries(
				docker.WithPlainHTTP(docker.MatchLocalhost),
				docker.WithAuthorizer(docker.NewDockerAuthorizer())),
		})),
		client.WithPullUnpack,
		client.WithPullSnapshotter(e.Snapshotter),
		client.WithUnpackOpts([]client.UnpackOpt{syncLayers}),
		client.WithImageHandlerWrapper(check))
	if err != nil {
		return nil, err
	}
	return img, e.syncDisk(ctx)
}

// checkConfig refuses an image whose config says that it is for another machine.
func (e *Engine) checkConfig(ctx context.Context, store content.Provider, desc ocispec.Descriptor) error {
	platform, err := images.ConfigPlatform(ctx, store, desc)
	if err != nil {
		return err
	}
	return e.checkPlatform(platform)
}

func (e *Engine) checkPlatform(p ocispec.Platform) error {
	if p.Architecture == "" || e.match.Match(platforms.Normalize(p)) {
		return nil // an image that doesn't say is tried
	}
	return fmt.Errorf("%w: it is for %s, this machine is %s", engine.ErrWrongArch, platforms.Format(p), hostPlatform())
}

func hostPlatform() string { return platforms.Format(platforms.DefaultSpec()) }

// configOf reads an image's config and checks that it is for this machine.
func (e *Engine) configOf(ctx context.Context, img client.Image) (ocispec.ImageConfig, error) {
	spec, err := img.Spec(ctx)
	if err != nil {
		if strings.Contains(err.Error(), "no match for platform") {
			err = fmt.Errorf("%w: this machine is %s", engine.ErrWrongArch, hostPlatform())
		}
		return ocispec.ImageConfig{}, err
	}
	return spec.Config, e.checkPlatform(spec.Platform)
}

// imageOf is the image of a container to be started.
func (e *Engine) imageOf(ctx context.Context, image string) (client.Image, ocispec.ImageConfig, error) {
	name, err := fullName(image)
	if err != nil {
		return nil, ocispec.ImageConfig{}, err
	}
	img, err := e.client.GetImage(ctx, name)
	if err == nil {
		var config ocispec.ImageConfig
		if config, err = e.configOf(ctx, img); err == nil {
			return img, config, nil
		}
	}
	switch {
	case errors.Is(err, engine.ErrWrongArch):
		return nil, ocispec.ImageConfig{}, fmt.Errorf("image %s: %w", image, err)
	case errdefs.IsNotFound(err):
		return nil, ocispec.ImageConfig{}, fmt.Errorf("image %s: %w", image, e.explainMissing(engine.ErrNotFound, name))
	}
	return nil, ocispec.ImageConfig{}, translate(err, "look for image "+image)
}

// reportEvery is how often a pull's progress is told.
const reportEvery = 400 * time.Millisecond
