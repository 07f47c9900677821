package containerd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// List returns every container with our labels.
func (e *Engine) List(ctx context.Context) ([]engine.Container, error) {
	ctx = e.in(ctx)
	// Tasks first: what has none any more has its exit code on the container by now.
	response, err := e.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, translate(err, "list tasks")
	}
	byName := make(map[string]*task.Process, len(response.Tasks))
	for _, t := range response.Tasks {
		byName[t.ID] = t
	}
	all, err := e.ours(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]engine.Container, 0, len(all))
	for _, c := range all {
		seen, err := e.describe(c, byName[c.ID])
		if err == nil && seen.State == engine.Lost {
			seen, err = e.lookAgain(ctx, c.ID)
		}
		if errdefs.IsNotFound(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, translate(err, "list containers")
		}
		list = append(list, seen)
	}
	return list, nil
}

// ours are all containers that carry a pod's uid.
func (e *Engine) ours(ctx context.Context) ([]containers.Container, error) {
	all, err := e.client.ContainerService().List(ctx, fmt.Sprintf("labels.%q", engine.LabelPodUID))
	return all, translate(err, "list containers")
}

// lookAgain makes sure that a container is lost. Between the two lists its task may have been made, or a
// start of it may be under way.
func (e *Engine) lookAgain(ctx context.Context, name string) (engine.Container, error) {
	t, err := e.task(ctx, name)
	if errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err) {
		// One shim that does not answer must not hide the other containers. If it is containerd that is
		// away, the next call fails too.
		t, err = &task.Process{Status: task.Status_UNKNOWN}, nil
	}
	if err != nil {
		return engine.Container{}, err
	}
	c, err := e.client.ContainerService().Get(ctx, name)
	if err != nil {
		return engine.Container{}, err
	}
	return e.describe(c, t)
}

// task is the container's task as containerd sees it; nil when there is none.
func (e *Engine) task(ctx context.Context, name string) (*task.Process, error) {
	r, err := e.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: name})
	if err != nil {
		if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
			return nil, nil
		}
		return nil, err
	}
	return r.Process, nil
}

// describe puts a container and its task (nil: none) together.
func (e *Engine) describe(c containers.Container, t *task.Process) (engine.Container, error) {
	out := engine.Container{
		ID:        idOf(c),
		Labels:    make(map[string]string, len(c.Labels)),
		Image:     c.Labels[labelImage],
		ImageID:   c.Labels[labelImageID],
		StartedAt: parseTime(c.Labels[labelStarted]),
	}
	for k, v := range c.Labels {
		if !strings.HasPrefix(k, ownPrefix) && !strings.HasPrefix(k, "io.containerd.") && !strings.HasPrefix(k, "containerd.io/") {
			out.Labels[k] = v
		}
	}
	if code, ok := c.Labels[labelExitCode]; ok {
		out.State = engine.Exited
		out.ExitCode, _ = strconv.Atoi(code) // we wrote it
		out.FinishedAt = parseTime(c.Labels[labelFinished])
		_, out.OOMKilled = c.Labels[labelOOMKilled]
		return out, nil
	}
	switch {
	case t == nil && out.StartedAt.IsZero():
		out.State = engine.Created
	case t == nil:
		out.State = engine.Lost
	case t.Status == task.Status_CREATED:
		out.State, out.StartedAt = engine.Created, time.Time{}
	case t.Status == task.Status_STOPPED:
		out.State = engine.Exited
		out.ExitCode = int(t.ExitStatus)
		out.FinishedAt = exitTime(t)
		out.OOMKilled = e.outOfMemory(c, t.ExitStatus)
	default:
		// Running, paused, or a shim too busy to answer: there is a process.
		out.State, out.PID = engine.Running, int(t.Pid)
	}
	return out, nil
}

// exitTime is when a stopped task ended.
func exitTime(t *task.Process) time.Time {
	if !t.ExitedAt.IsValid() {
		return time.Time{}
	}
	return t.ExitedAt.AsTime().UTC()
}

// outOfMemory says whether the kernel killed in the container's cgroup, which is there until the task is
// deleted. A process that survived its child's death and ended well did not run out of memory.
func (e *Engine) outOfMemory(c containers.Container, code uint32) bool {
	return code != 0 && e.cgroups.oomKills(c.Labels[labelCgroup]) > 0
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// parseTime reads a label that we wrote; the zero time when there is none.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
