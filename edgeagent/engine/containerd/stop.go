package containerd

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/moby/sys/signal"
)

// Stop ends the container's process and returns when that is so.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	ctx = e.in(ctx)
	name, doing := nameOf(id), "stop container "+id
	c, err := e.client.ContainerService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return translate(err, doing)
	}
	t, err := e.task(ctx, name)
	if err != nil {
		return translate(err, doing)
	}
	if t == nil {
		return nil
	}
	if t.Status == task.Status_PAUSED || t.Status == task.Status_PAUSING {
		// A frozen process gets no signal.
		_, err := e.client.TaskService().Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: name})
		if err != nil {
			return translate(err, doing)
		}
	}
	if t.Status != task.Status_STOPPED {
		soft, err := signal.ParseSignal(c.Labels[client.StopSignalLabel])
		if err != nil {
			soft = syscall.SIGTERM
		}
		if err := e.end(ctx, name, soft, grace); err != nil {
			return translate(err, doing)
		}
	}
	return translate(e.reap(ctx, name, nil), doing)
}

// end asks, waits and kills.
func (e *Engine) end(ctx context.Context, name string, soft syscall.Signal, grace time.Duration) error {
	if grace > 0 {
		if err := e.kill(ctx, name, soft, false); err != nil {
			return err
		}
		// A timer, not a deadline: gRPC would tell containerd a deadline, whose answer could come before ours is up.
		patience, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(grace, cancel)
		err := e.wait(patience, name)
		timeUp := patience.Err() != nil && ctx.Err() == nil
		timer.Stop()
		cancel()
		if !timeUp {
			return err
		}
	}
	if err := e.kill(ctx, name, syscall.SIGKILL, true); err != nil {
		return err
	}
	return e.wait(ctx, name)
}

// kill sends a signal to the first process, or to all; that none is left is no error.
func (e *Engine) kill(ctx context.Context, name string, s syscall.Signal, all bool) error {
	_, err := e.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: name, Signal: uint32(s), All: all})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// wait returns when the task has ended.
func (e *Engine) wait(ctx context.Context, name string) error {
	_, err := e.client.TaskService().Wait(ctx, &tasks.WaitRequest{ContainerID: name})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// Remove deletes a container that has no process.
func (e *Engine) Remove(ctx context.Context, id string) error {
	ctx = e.in(ctx)
	name, doing := nameOf(id), "remove container "+id
	c, err := e.client.ContainerService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return translate(err, doing)
	}
	done, err := e.turns.take(ctx, turn(c))
	if err != nil {
		return err
	}
	defer done()
	t, err := e.task(ctx, name)
	if err != nil {
		return translate(err, doing)
	}
	if t != nil {
		if t.Status != task.Status_STOPPED && t.Status != task.Status_CREATED {
			return fmt.Errorf("%s: it runs: stop it first", doing)
		}
		if err := e.deleteTask(ctx, name); err != nil {
			return translate(err, doing)
		}
	}
	if err := e.erase(ctx, name); err != nil {
		return translate(err, doing)
	}
	e.cgroups.removePod(c.Labels[labelCgroup])
	return nil
}
