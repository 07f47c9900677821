package containerd

import (
	"context"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
)

// exit is how a process ended.
type exit struct {
	code uint32
	at   time.Time
}

// reap writes down how a task ended and deletes it, with its shim. told is what an event said of the end: it
// stands in when the task is gone already, as after the death of its shim; nil: nothing is known.
func (e *Engine) reap(ctx context.Context, name string, told *exit) error {
	c, err := e.client.ContainerService().Get(ctx, name)
	if err != nil {
		return ignoreNotFound(err)
	}
	done, err := e.turns.take(ctx, turn(c))
	if err != nil {
		return err
	}
	defer done()
	// Again, now that nobody else is at it.
	if c, err = e.client.ContainerService().Get(ctx, name); err != nil {
		return ignoreNotFound(err)
	}
	t, err := e.task(ctx, name)
	if err != nil {
		return err
	}
	_, written := c.Labels[labelExitCode]
	if t == nil {
		if written || told == nil || c.Labels[labelStarted] == "" {
			return nil
		}
		return ignoreNotFound(e.recordExit(ctx, c, *told))
	}
	if t.Status != task.Status_STOPPED {
		return nil
	}
	if !written {
		if err := e.recordExit(ctx, c, exit{t.ExitStatus, exitTime(t)}); err != nil {
			return ignoreNotFound(err)
		}
	}
	return e.deleteTask(ctx, name)
}

// deleteTask deletes a task that does not run; one that is not there is success. It goes to its end even if
// ctx ends: containerd, left in the middle, forgets the task and leaves the shim.
func (e *Engine) deleteTask(ctx context.Context, name string) error {
	ctx, cancel := cleaning(ctx)
	defer cancel()
	_, err := e.client.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: name})
	return ignoreNotFound(errgrpc.ToNative(err))
}

// recordExit makes the end part of the container.
func (e *Engine) recordExit(ctx context.Context, c containers.Container, end exit) error {
	labels := map[string]string{
		labelExitCode: strconv.FormatUint(uint64(end.code), 10),
		labelFinished: formatTime(end.at),
	}
	if e.outOfMemory(c, end.code) {
		labels[labelOOMKilled] = "true"
	}
	return e.setLabels(ctx, c.ID, labels)
}

// reapAll reaps whatever ended unseen.
func (e *Engine) reapAll(ctx context.Context) error {
	response, err := e.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return errgrpc.ToNative(err)
	}
	for _, t := range response.Tasks {
		if t.Status != task.Status_STOPPED {
			continue
		}
		if err := e.reap(ctx, t.ID, nil); err != nil {
			return err
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
