package machine

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// fixed is what does not change while the agent runs.
type fixed struct {
	machineID, systemUUID, bootID string
	kernel, image                 string
	memoryCgroup                  bool
}

// cores is the number of processors that this process may use.
func cores() int { return runtime.NumCPU() }

func inspect() (fixed, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fixed{}, fmt.Errorf("read the kernel's version: %w", err)
	}
	boot := line("/proc/sys/kernel/random/boot_id")
	if boot == "" {
		return fixed{}, fmt.Errorf("read the boot id: /proc/sys/kernel/random/boot_id is empty or not there")
	}
	f := fixed{
		machineID:    line("/etc/machine-id"),
		systemUUID:   line("/sys/class/dmi/id/product_uuid"),
		bootID:       boot,
		kernel:       unix.ByteSliceToString(name.Release[:]),
		image:        osImage("/etc/os-release"),
		memoryCgroup: hasMemoryCgroup(),
	}
	if f.systemUUID == "" {
		// A Raspberry Pi has no DMI, but a serial number.
		f.systemUUID = strings.Trim(line("/proc/device-tree/serial-number"), "\x00")
	}
	return f, nil
}

// line is a file's content without the end of line; empty when it can't be read.
func line(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// osImage is the distribution's name for people.
func osImage(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "Linux"
	}
	for l := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(l), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return "Linux"
}

// hasMemoryCgroup says whether memory can be limited; Raspberry Pi OS comes with that turned off.
func hasMemoryCgroup() bool {
	if strings.Contains(" "+line("/sys/fs/cgroup/cgroup.controllers")+" ", " memory ") {
		return true
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(text)) {
		if parts := strings.SplitN(l, ":", 3); len(parts) == 3 && strings.Contains(","+parts[1]+",", ",memory,") {
			return true
		}
	}
	return false
}
