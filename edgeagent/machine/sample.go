package machine

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/skerry-edge/skerry/protocol/message"
)

// sample is what the machine said at one time.
type sample struct {
	cpuMilli           uint32 // used since the sample before; 0: unknown
	memTotal, memAvail uint64 // bytes
	diskTotal          uint64
	diskFree           uint64 // for a process that is not root's
	threads, maxPIDs   uint64 // threads count against pid_max too
	address            string
	hostname           string
}

func (s sample) readings() message.Readings {
	return message.Readings{CPUMilli: s.cpuMilli, MemoryKiB: (s.memTotal - s.memAvail) >> 10, DiskKiB: s.diskFree >> 10}
}

// sensor reads the machine; it remembers the processor's counters.
type sensor struct {
	dir  string
	last cpu.TimesStat
	seen bool
}

func (r *sensor) read() (s sample, err error) {
	times, err := cpu.Times(false)
	if err != nil || len(times) != 1 {
		return s, fmt.Errorf("read the processor's times: %w", err)
	}
	if r.seen {
		s.cpuMilli = used(r.last, times[0])
	}
	r.last, r.seen = times[0], true
	memory, err := mem.VirtualMemory()
	if err != nil {
		return s, fmt.Errorf("read the memory's use: %w", err)
	}
	s.memTotal, s.memAvail = memory.Total, min(memory.Available, memory.Total)
	usage, err := disk.Usage(r.dir)
	if err != nil {
		return s, fmt.Errorf("read the disk's use at %s: %w", r.dir, err)
	}
	s.diskTotal, s.diskFree = usage.Total, usage.Free
	s.threads, s.maxPIDs = threads(), number("/proc/sys/kernel/pid_max")
	s.address = outward()
	if s.hostname, err = os.Hostname(); err != nil {
		return s, fmt.Errorf("read the host name: %w", err)
	}
	return s, nil
}

// used is how many thousandths of a core were busy between two readings, which count seconds of all cores.
// With n cores all of the time that passed is n times the clock's. 0: the readings don't tell.
func used(before, after cpu.TimesStat) uint32 {
	// Time that waited for the disk may be counted backwards.
	after.Iowait = max(after.Iowait, before.Iowait)
	idle := after.Idle + after.Iowait - before.Idle - before.Iowait
	all := total(after) - total(before)
	if all <= 0 || idle < 0 {
		return 0
	}
	return max(1, uint32(max(0, 1-idle/all)*float64(cores())*1000+0.5)) // a machine that was read is not unused
}

// total leaves out guests' time, which user's has already.
func total(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

// threads is the number of threads of the machine; 0: unknown.
func threads() uint64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 4 {
		return 0
	}
	_, all, _ := strings.Cut(fields[3], "/")
	n, err := strconv.ParseUint(all, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// number reads a file that holds one; 0: unknown.
func number(file string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// outward is the address that this machine uses towards the world: the kernel picks it for a socket that
// sends nothing. Without a route it is the first address of an interface.
func outward() string {
	// TEST-NET-1 and the documentation prefix of RFC 3849: nobody's addresses.
	for _, target := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		if conn, err := net.Dial("udp", target); err == nil {
			defer conn.Close()
			return conn.LocalAddr().(*net.UDPAddr).IP.String()
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return ""
}
