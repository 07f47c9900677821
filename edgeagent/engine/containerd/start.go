package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/signal"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Start creates the container and starts its process.
func (e *Engine) Start(ctx context.Context, spec engine.Spec) error {
	ctx = e.in(ctx)
	name := nameOf(spec.ID)
	done, err := e.turns.take(ctx, turn(containers.Container{ID: name, Labels: map[string]string{labelSandbox: spec.Sandbox}}))
	if err != nil {
		return err
	}
	defer done()

	ran, err := e.hasRun(ctx, name)
	if err != nil {
		return translate(err, "look for container "+spec.ID)
	}
	if ran {
		return nil
	}
	// What an earlier attempt to start it left is made anew: it may lack anything.
	if err := e.discard(ctx, name); err != nil {
		return translate(err, "take back an earlier start of "+spec.ID)
	}
	img, config, err := e.imageOf(ctx, spec.Image)
	if err != nil {
		return err
	}
	err = e.create(ctx, name, spec, img, config)
	if err == nil {
		err = e.launch(ctx, name, spec)
	}
	if err != nil {
		clean, cancel := cleaning(ctx)
		defer cancel()
		if undo := e.discard(clean, name); undo != nil {
			e.Log.Warn().Err(undo).Str("container", spec.ID).Msg("a failed start could not be taken back; the next one tries again")
		}
		e.cgroups.removePod(e.cgroupPath(name, spec))
	}
	return err
}

// hasRun says whether the container's process was ever started.
func (e *Engine) hasRun(ctx context.Context, name string) (bool, error) {
	c, err := e.client.ContainerService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil || c.Labels[labelStarted] == "" {
		return false, err
	}
	t, err := e.task(ctx, name)
	return t == nil || t.Status != task.Status_CREATED, err
}

// create makes the files, the root file system and the container, without a process.
func (e *Engine) create(ctx context.Context, name string, spec engine.Spec, img client.Image, config ocispec.ImageConfig) error {
	doing := "create container " + spec.ID
	labels, err := e.labels(spec, img, config)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", doing, engine.ErrConfig, err)
	}
	files, err := e.writeFiles(name, spec)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	opts, err := e.specOptions(name, spec, img, config, files)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", doing, engine.ErrConfig, err)
	}
	_, err = e.client.NewContainer(ctx, name,
		client.WithContainerLabels(labels),
		client.WithImage(img),
		client.WithSnapshotter(e.Snapshotter),
		client.WithNewSnapshot(name, img),
		client.WithRuntime("io.containerd.runc.v2", &options.Options{BinaryName: e.Runtime}),
		client.WithNewSpec(oci.Compose(opts...)),
	)
	return translate(err, doing)
}

// labels are the container's own and the engine's.
func (e *Engine) labels(spec engine.Spec, img client.Image, config ocispec.ImageConfig) (map[string]string, error) {
	labels := maps.Clone(spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	stop := spec.StopSignal
	if stop == "" {
		stop = config.StopSignal
	}
	if stop == "" {
		stop = "SIGTERM"
	}
	if _, err := signal.ParseSignal(stop); err != nil {
		return nil, fmt.Errorf("stop signal %q: no such signal", stop)
	}
	labels[client.StopSignalLabel] = stop
	labels[labelID] = spec.ID
	labels[labelImage] = spec.Image
	labels[labelImageID] = img.Target().Digest.String()
	labels[labelSandbox] = spec.Sandbox
	labels[labelCgroup] = e.cgroupPath(nameOf(spec.ID), spec)
	return labels, nil
}

// launchTimeout is long enough for the slowest board.
const launchTimeout = 2 * time.Minute

// launch starts the process. The label that says so is written between the task's creation and its start: a
// container with that label and without a task has run. Once begun it goes to its end even if ctx ends: a
// runtime that is left in the middle leaves things that nobody finds.
func (e *Engine) launch(ctx context.Context, name string, spec engine.Spec) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
	defer cancel()
	c, err := e.client.LoadContainer(ctx, name)
	if err != nil {
		return translate(err, "start container "+spec.ID)
	}
	log, err := e.logCreator(spec)
	if err != nil {
		return fmt.Errorf("start container %s: %w", spec.ID, err)
	}
	t, err := c.NewTask(ctx, log)
	if err != nil {
		return startError(err, spec.ID)
	}
	if err := e.setLabels(ctx, name, map[string]string{labelStarted: formatTime(time.Now())}); err != nil {
		return translate(err, "start container "+spec.ID)
	}
	if err := t.Start(ctx); err != nil {
		return startError(err, spec.ID)
	}
	return nil
}

// setLabels changes some labels of a container.
func (e *Engine) setLabels(ctx context.Context, name string, labels map[string]string) error {
	paths := make([]string, 0, len(labels))
	for k := range labels {
		paths = append(paths, "labels."+k)
	}
	_, err := e.client.ContainerService().Update(ctx, containers.Container{ID: name, Labels: labels}, paths...)
	return err
}

// discard removes all that a start makes, as far as it is there, of a container whose process was not
// started.
func (e *Engine) discard(ctx context.Context, name string) error {
	// First of all it has not run, whatever a failed start wrote.
	if err := e.setLabels(ctx, name, map[string]string{labelStarted: ""}); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	// Deleting a task that was created but not started ends runc's waiting init too.
	if err := e.deleteTask(ctx, name); err != nil {
		return err
	}
	return e.erase(ctx, name)
}

// erase removes the container, its root file system and its files, as far as they are there.
func (e *Engine) erase(ctx context.Context, name string) error {
	if err := e.client.ContainerService().Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	err := e.client.SnapshotService(e.Snapshotter).Remove(ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return errors.Join(os.RemoveAll(e.filesDir(name)))
}
