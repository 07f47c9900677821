package doctor

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// DiskState is a file system.
type DiskState struct {
	Dir         string // that it was asked about
	Total, Free uint64 // bytes
	Inodes      uint64 // free; meaningless when TotalInodes is 0
	TotalInodes uint64
	ReadOnly    bool
}

// ReadDisk asks about the file system of a directory, or of the nearest one above it that exists.
func ReadDisk(dir string) (DiskState, error) {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			size := uint64(s.Bsize)
			return DiskState{Dir: dir, Total: s.Blocks * size, Free: s.Bavail * size, Inodes: s.Ffree, TotalInodes: s.Files,
				ReadOnly: s.Flags&unix.ST_RDONLY != 0}, nil
		}
		parent := filepath.Dir(dir)
		if err != unix.ENOENT || parent == dir {
			return DiskState{}, fmt.Errorf("look at the file system of %s: %w", dir, err)
		}
		dir = parent
	}
}

// Thresholds of free space. The upper one is where the node reports pressure, see package machine.
const (
	leastFree   = 64 << 20
	leastInodes = 1000
)

func pressure(total uint64) uint64 { return min(2<<30, total/10) }

func (c Config) disk() Finding {
	const remedy = "make room (ctr -n skerry images list shows images), or put --data-dir and containerd's root on a bigger disk"
	d, err := c.Disk(c.DataDir)
	if err != nil {
		return Finding{Fail, "disk", err.Error(), "choose another --data-dir"}
	}
	seen := fmt.Sprintf("%d MiB of %d MiB are free at %s", d.Free>>20, d.Total>>20, d.Dir)
	switch {
	case d.ReadOnly:
		return Finding{Fail, "disk", d.Dir + " is read-only", "remount it for writing (after errors: check the disk, an SD card may be worn out), or choose another --data-dir"}
	case d.Free < leastFree:
		return Finding{Fail, "disk", seen, remedy}
	case d.TotalInodes > 0 && d.Inodes < leastInodes:
		return Finding{Fail, "disk", fmt.Sprintf("%d inodes are free at %s", d.Inodes, d.Dir), remedy}
	case d.Free < pressure(d.Total):
		return Finding{Warn, "disk", seen + ", so the node reports DiskPressure and gets no new pods", remedy}
	}
	return Finding{OK, "disk", seen, ""}
}
