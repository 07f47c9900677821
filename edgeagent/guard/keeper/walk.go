package main

import (
	"errors"
	"syscall"
)

// maxDepth is how deep groups may nest. Only a container that may write cgroups could make more, and it could as well
// leave its own (docs/guard.md).
const maxDepth = 32

// walk visits the processes of the group and of all groups below it, with the directory that they are in.
func (h hierarchy) walk(group string, visit func(dir string, pid int)) error {
	return walk(h.point+group, 0, visit)
}

func walk(dir string, depth int, visit func(dir string, pid int)) error {
	if depth == maxDepth {
		return errors.New(dir + ": groups are nested too deep")
	}
	problem := readPIDs(dir+"/cgroup.procs", func(pid int) { visit(dir, pid) })
	children, err := subdirectories(dir)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := walk(dir+"/"+child, depth+1, visit); err != nil {
			problem = err
		}
	}
	return problem
}

// readPIDs reads a file of numbers, one a line, however long it is.
func readPIDs(path string, visit func(pid int)) error {
	fd, err := open(path, syscall.O_RDONLY)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	defer syscall.Close(fd)
	var buf [1024]byte
	pid := -1 // not within a number
	for {
		n, err := read(fd, buf[:])
		if err != nil {
			// A threaded group of version 2 lists nothing; its processes are those of the group above.
			if gone(err) || errors.Is(err, syscall.EOPNOTSUPP) {
				return nil
			}
			return fail("read", path, err)
		}
		for _, c := range buf[:n] {
			switch {
			case c >= '0' && c <= '9':
				pid = max(pid, 0)*10 + int(c-'0')
			case pid >= 0:
				visit(pid)
				pid = -1
			}
		}
		if n < len(buf) {
			if pid >= 0 {
				visit(pid)
			}
			return nil
		}
	}
}
