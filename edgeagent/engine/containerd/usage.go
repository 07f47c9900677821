package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Usage reads the counters of the containers' groups. containerd has metrics of its own, which cost more than the
// three small files of a group that are needed.
func (e *Engine) Usage(ctx context.Context) ([]engine.Usage, error) {
	ctx = e.in(ctx)
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
	var out []engine.Usage
	for _, c := range all {
		group := c.Labels[labelCgroup]
		if group == "" {
			continue
		}
		seen, err := e.describe(c, byName[c.ID])
		if err != nil || seen.State != engine.Running {
			continue
		}
		cpu, at, err := e.cgroups.cpu(group)
		if err != nil {
			continue // it has just ended
		}
		memory, err := e.cgroups.workingSet(group)
		if err != nil {
			continue
		}
		out = append(out, engine.Usage{ID: seen.ID, Labels: seen.Labels, At: at, CPU: cpu, Memory: memory})
	}
	return out, nil
}

// cpu is the time that a group's processes have had since it was made, and when that was read.
func (g cgroups) cpu(group string) (time.Duration, time.Time, error) {
	if g.v2 {
		used, err := field(filepath.Join(g.cpuacct, group, "cpu.stat"), "usage_usec")
		return time.Duration(used) * time.Microsecond, time.Now(), err
	}
	if g.cpuacct == "" {
		return 0, time.Time{}, fmt.Errorf("this machine does not count processor time by group")
	}
	used, err := counter(filepath.Join(g.cpuacct, group, "cpuacct.usage"))
	return time.Duration(used), time.Now(), err
}

// workingSet is the memory that a group holds, without the file cache that has not been used lately: what
// Kubernetes calls the working set. Many boards count no memory by group; there it is what the processes have
// resident, which counts shared pages twice.
func (g cgroups) workingSet(group string) (int64, error) {
	if g.memory == "" {
		return g.resident(group)
	}
	current, inactive := "memory.usage_in_bytes", "total_inactive_file"
	if g.v2 {
		current, inactive = "memory.current", "inactive_file"
	}
	used, err := counter(filepath.Join(g.memory, group, current))
	if err != nil {
		return 0, err
	}
	cache, err := field(filepath.Join(g.memory, group, "memory.stat"), inactive)
	return max(used-cache, 0), err
}

// resident is what the processes of a group have in memory, all together.
func (g cgroups) resident(group string) (int64, error) {
	pids, err := os.ReadFile(filepath.Join(g.cpuacct, group, "cgroup.procs"))
	if err != nil {
		return 0, err
	}
	var pages int64
	for _, pid := range strings.Fields(string(pids)) {
		text, err := os.ReadFile("/proc/" + pid + "/statm") // size resident …
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			pages += n
		}
	}
	return pages * int64(os.Getpagesize()), nil
}

// counter reads a file that holds one.
func counter(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// field reads one line of a file of names and numbers.
func field(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}
