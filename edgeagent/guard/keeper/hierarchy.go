package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"syscall"
)

// maxHierarchies is more than version 1 has controllers.
const maxHierarchies = 32

// hierarchy is one mounted cgroup file system.
type hierarchy struct {
	point   string // where it is mounted
	v2      bool
	freezer bool // version 1: the one with the freezer
}

// findHierarchies are those that are mounted now, each once.
func findHierarchies() ([]hierarchy, error) { return readMounts("/proc/self/mountinfo") }

// readMounts picks the hierarchies out of a mountinfo (proc_pid_mountinfo(5)).
func readMounts(path string) (all []hierarchy, err error) {
	var seen []string
	err = eachLine(path, func(line []byte) {
		if !bytes.Contains(line, []byte(" - cgroup")) {
			return // most are none, and cost no memory
		}
		before, after, ok := strings.Cut(string(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 || right[0] != "cgroup" && right[0] != "cgroup2" {
			return
		}
		same := left[2] + " " + left[3] // device and the directory of it that is mounted
		if slices.Contains(seen, same) || len(all) == maxHierarchies {
			return
		}
		seen = append(seen, same)
		all = append(all, hierarchy{
			point:   unescape(left[4]),
			v2:      right[0] == "cgroup2",
			freezer: right[0] == "cgroup" && slices.Contains(strings.Split(right[2], ","), "freezer"),
		})
	})
	if err == nil && len(all) == 0 {
		err = errors.New("no cgroup hierarchy is mounted")
	}
	return all, err
}

// unescape undoes \040 and the like.
func unescape(path string) string {
	var b []byte
	for i := 0; i < len(path); i++ {
		if c := path[i]; c == '\\' && i+3 < len(path) {
			b = append(b, (path[i+1]-'0')<<6|(path[i+2]-'0')<<3|(path[i+3]-'0'))
			i += 3
			continue
		}
		b = append(b, path[i])
	}
	return string(b)
}

// ensure makes the group where it is missing.
func (h hierarchy) ensure(group string) error { return makeDir(h.point+group, 0o755) }

// canFreeze reports whether the group can be frozen in this hierarchy. Version 2 can since Linux 5.2.
func (h hierarchy) canFreeze(group string) bool {
	if h.v2 {
		return exists(h.point + group + "/cgroup.freeze")
	}
	return h.freezer
}

// setFrozen freezes or thaws the group and all below it.
func (h hierarchy) setFrozen(group string, frozen bool) error {
	switch {
	case h.v2 && frozen:
		return put(h.point+group+"/cgroup.freeze", "1")
	case h.v2:
		return put(h.point+group+"/cgroup.freeze", "0")
	case frozen:
		return put(h.point+group+"/freezer.state", "FROZEN")
	default:
		return put(h.point+group+"/freezer.state", "THAWED")
	}
}

// frozen reports whether all that is in the directory and below it has come to a halt.
func (h hierarchy) frozen(dir string) bool {
	if h.v2 {
		text, err := readSmall(dir+"/cgroup.events", 4096)
		return err == nil && strings.Contains("\n"+text, "\nfrozen 1\n")
	}
	text, err := readSmall(dir+"/freezer.state", 64)
	return err == nil && strings.TrimSpace(text) == "FROZEN"
}

// killAll kills all that is in the group and below it, what is being forked included. Only version 2 can do that, since
// Linux 5.14; elsewhere it is not done.
func (h hierarchy) killAll(group string) (done bool, err error) {
	if !h.v2 {
		return false, nil
	}
	err = put(h.point+group+"/cgroup.kill", "1")
	if errors.Is(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}
