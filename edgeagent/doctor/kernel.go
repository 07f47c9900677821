package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kernel is what the kernel says of itself in its files.
type kernel struct{ root string }

func (k kernel) read(file string) (string, error) {
	data, err := os.ReadFile(filepath.Join(k.root, file))
	return string(data), err
}

// cgroups says which version of control groups is mounted where Linux distributions have it.
func (k kernel) cgroups() Finding {
	mounts, err := k.read("/proc/self/mountinfo")
	if err != nil {
		return Finding{Fail, "cgroups", "unknown: " + err.Error(), "mount /proc"}
	}
	var v1, v2, unified bool
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 1 {
			continue
		}
		switch right[0] {
		case "cgroup":
			v1 = true
		case "cgroup2":
			v2, unified = true, unified || left[4] == "/sys/fs/cgroup"
		}
	}
	switch {
	case unified:
		return Finding{OK, "cgroups", "version 2", ""}
	case v1 && v2:
		return Finding{OK, "cgroups", "version 1 (hybrid)", ""}
	case v1:
		return Finding{OK, "cgroups", "version 1", ""}
	}
	return Finding{Fail, "cgroups", "not mounted", "mount them below /sys/fs/cgroup: systemd does, without it install cgroupfs-mount"}
}

const memoryRemedy = "add cgroup_enable=memory to the kernel's command line (on a Raspberry Pi in /boot/firmware/cmdline.txt, " +
	"before Debian 12 /boot/cmdline.txt) and reboot; until then memory limits are not enforced"

// memory says whether memory can be limited; Raspberry Pi OS comes with that turned off.
func (k kernel) memory() Finding {
	if controllers, err := k.read("/sys/fs/cgroup/cgroup.controllers"); err == nil && slices.Contains(strings.Fields(controllers), "memory") {
		return Finding{OK, "memory cgroup", "on", ""}
	}
	groups, err := k.read("/proc/self/cgroup")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Finding{Warn, "memory cgroup", "unknown: " + err.Error(), "mount /proc"}
	}
	for line := range strings.Lines(groups) {
		if parts := strings.SplitN(line, ":", 3); len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), "memory") {
			return Finding{OK, "memory cgroup", "on", ""}
		}
	}
	return Finding{Warn, "memory cgroup", "off", memoryRemedy}
}

// overlay says whether the kernel has, or can load, the file system of containers' roots.
func (k kernel) overlay() Finding {
	known, err := k.read("/proc/filesystems")
	if err != nil {
		return Finding{Fail, "overlayfs", "unknown: " + err.Error(), "mount /proc"}
	}
	if slices.Contains(strings.Fields(known), "overlay") {
		return Finding{OK, "overlayfs", "supported", ""}
	}
	release, err := k.read("/proc/sys/kernel/osrelease")
	if err != nil {
		return Finding{Fail, "overlayfs", "unknown: " + err.Error(), "mount /proc"}
	}
	release = strings.TrimSpace(release)
	modules, err := k.read("/lib/modules/" + release + "/modules.dep")
	if err == nil && strings.Contains(modules, "/overlay.ko") {
		return Finding{OK, "overlayfs", "a module, loaded when it is needed", ""}
	}
	return Finding{Fail, "overlayfs", "not supported by the kernel " + release,
		"reboot if the kernel was upgraded just now; else use a kernel with CONFIG_OVERLAY_FS, as those of distributions are"}
}
