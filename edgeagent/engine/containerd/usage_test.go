package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The same group's use is read on every kind of cgroup, and without a memory cgroup too.
func TestUsageOfAGroup(t *testing.T) {
	const megabyte = 1 << 20
	v2 := map[string]string{
		"memory.current": "10485760\n",
		"memory.stat":    "anon 5242880\ninactive_anon 0\nactive_file 2097152\ninactive_file 3145728\n",
		"cpu.stat":       "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
	}
	v1 := map[string]string{
		"memory.usage_in_bytes": "10485760\n",
		"memory.stat":           "cache 0\ninactive_file 1\ntotal_inactive_anon 7\ntotal_inactive_file 3145728\n",
		"cpuacct.usage":         "1500000000\n",
	}
	for name, test := range map[string]struct {
		files  map[string]string
		make   func(dir string) cgroups
		memory func(int64) bool
	}{
		"v2": {v2, func(dir string) cgroups { return cgroups{v2: true, memory: dir, cpuacct: dir} },
			func(n int64) bool { return n == 7*megabyte }},
		"v1 and hybrid": {v1, func(dir string) cgroups { return cgroups{memory: dir, cpuacct: dir} },
			func(n int64) bool { return n == 7*megabyte }},
		"a board whose memory cgroup is off": {map[string]string{
			"cpuacct.usage": "1500000000\n", "cgroup.procs": fmt.Sprintf("%d\n999999999\n", os.Getpid()),
		}, func(dir string) cgroups { return cgroups{cpuacct: dir} },
			func(n int64) bool { return n > megabyte && n < 1<<32 }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				file = filepath.Join(dir, "skerry", "pod", file)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			g := test.make(dir)
			if cpu, at, err := g.cpu("/skerry/pod"); cpu != 1500*time.Millisecond || at.IsZero() || err != nil {
				t.Errorf("cpu: %s at %s, %v", cpu, at, err)
			}
			if memory, err := g.workingSet("/skerry/pod"); !test.memory(memory) || err != nil {
				t.Errorf("memory: %d, %v", memory, err)
			}
			if _, _, err := g.cpu("/skerry/gone"); err == nil {
				t.Error("a group that is gone has used something")
			}
			if _, err := g.workingSet("/skerry/gone"); err == nil {
				t.Error("a group that is gone holds something")
			}
		})
	}
}
