package containerd

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/oci"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// cgroups is how this machine counts and limits resources.
type cgroups struct {
	v2     bool     // memory and cpu are limited by v2; else v1, or hybrid, which limits by v1
	mounts []string // of all hierarchies
	memory string   // mount point of the hierarchy with the memory controller; empty: memory can't be limited
	swap   bool     // swap is accounted for
	quota  bool     // a share of a core can be enforced

	cpuacct string // mount point of the hierarchy that counts processor time; empty: nothing does
}

// findCgroups reads what is mounted.
func findCgroups() (cgroups, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, fmt.Errorf("find the cgroups: %w", err)
	}
	defer f.Close()
	var g cgroups
	var cpu, unified string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		point := left[4]
		switch right[0] {
		case "cgroup":
			controllers := strings.Split(right[2], ",")
			g.mounts = append(g.mounts, point)
			if slices.Contains(controllers, "memory") {
				g.memory = point
			}
			if slices.Contains(controllers, "cpu") {
				cpu = point
			}
			if slices.Contains(controllers, "cpuacct") {
				g.cpuacct = point
			}
		case "cgroup2":
			g.mounts = append(g.mounts, point)
			unified = point
		}
	}
	if err := lines.Err(); err != nil {
		return cgroups{}, fmt.Errorf("find the cgroups: %w", err)
	}
	g.v2 = unified == "/sys/fs/cgroup"
	if g.v2 {
		g.cpuacct = unified // v2 counts it in every group, whatever its controllers
		controllers, err := os.ReadFile(unified + "/cgroup.controllers")
		if err != nil {
			return cgroups{}, fmt.Errorf("find the cgroups: %w", err)
		}
		has := strings.Fields(string(controllers))
		if slices.Contains(has, "memory") {
			g.memory = unified
			// The root has no such file; our own group does, and if we are in the root runc copes.
			g.swap = exists(unified+ownCgroup()+"/memory.swap.max") || exists(unified+"/init.scope/memory.swap.max")
		}
		g.quota = slices.Contains(has, "cpu")
		return g, nil
	}
	g.swap = g.memory != "" && exists(g.memory+"/memory.memsw.limit_in_bytes")
	g.quota = cpu != "" && exists(cpu+"/cpu.cfs_quota_us")
	return g, nil
}

// ownCgroup is this process's group in the v2 hierarchy.
func ownCgroup() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return strings.TrimSuffix(group, "/")
		}
	}
	return ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// cgroupPath is the container's group in every hierarchy: parent, pod, container.
func (e *Engine) cgroupPath(name string, spec engine.Spec) string {
	// Clean as an absolute path: a pod can't climb out of the parent.
	return path.Join("/", e.CgroupParent, path.Clean("/"+spec.Cgroup), name)
}

// limits are the spec's, as far as this machine can enforce them.
func (e *Engine) limits(spec engine.Spec) []oci.SpecOpts {
	var opts []oci.SpecOpts
	if spec.CPUShares > 0 {
		opts = append(opts, oci.WithCPUShares(spec.CPUShares))
	}
	if spec.CPUMilli > 0 && e.cgroups.quota {
		const period = 100_000 // µs
		// The kernel takes no quota below a millisecond.
		opts = append(opts, oci.WithCPUCFS(max(spec.CPUMilli*period/1000, 1000), period))
	}
	if spec.MemoryBytes > 0 && e.cgroups.memory != "" {
		opts = append(opts, oci.WithMemoryLimit(uint64(spec.MemoryBytes)))
		if e.cgroups.swap {
			// Memory and swap together, as the OCI spec counts: no swap for a container with a limit.
			opts = append(opts, oci.WithMemorySwap(spec.MemoryBytes))
		}
	}
	return opts
}

// oomKills is how often the kernel has killed in a group for want of memory.
func (g cgroups) oomKills(group string) int {
	if g.memory == "" || group == "" {
		return 0
	}
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.memory, group, file))
	if err != nil {
		return 0 // the group is gone, or never was
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			kills, err := strconv.Atoi(n)
			if err != nil {
				return 0
			}
			return kills
		}
	}
	return 0
}

// removePod removes a pod's group once its last container's is gone; while there is one it does nothing.
func (g cgroups) removePod(container string) {
	if container == "" {
		return
	}
	for _, mount := range g.mounts {
		_ = os.Remove(filepath.Join(mount, container)) // runc's business, but a killed shim leaves it
		_ = os.Remove(filepath.Join(mount, path.Dir(container)))
	}
}
