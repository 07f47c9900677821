package main

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

const (
	stateFormat = "skerry-guard-1"
	maxGroups   = 32
	maxState    = maxGroups * wire.MaxRequest
)

// armed is one line of the state file.
type armed struct {
	group    string
	deadline time.Duration
}

// stateFile has what is armed, for the guard that is started after this one: a line with format and boot id, then one
// for each group.
//
//	skerry-guard-1 3f0c5a0e-…
//	83000000000 /skerry-1a2b3c4d/stop
type stateFile struct {
	dir, bootID string
}

func (f stateFile) path() string { return f.dir + "/state" }

// lock keeps a second guard away from the directory, for as long as this one lives.
func (f stateFile) lock() error {
	fd, err := open(f.dir+"/lock", syscall.O_CREAT|syscall.O_RDWR)
	if err != nil {
		return err
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		syscall.Close(fd)
		return errors.New("another skerry-guard uses " + f.dir + " (or name another --state-dir)")
	}
	return nil
}

// read returns what was armed in this boot. A file of an earlier boot is removed. One that can't be read is set aside, and
// the error says so: to guard what the agent arms next is better than not to start.
func (f stateFile) read() ([]armed, error) {
	text, err := readSmall(f.path(), maxState)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	var all []armed
	if err == nil {
		var bootID string
		if bootID, all, err = parseState(text); err == nil && bootID == f.bootID {
			return all, nil
		}
		if err == nil {
			return nil, f.remove()
		}
	}
	aside := f.path() + ".bad"
	if renamed := syscall.Rename(f.path(), aside); renamed != nil {
		return nil, fail("rename", f.path(), renamed)
	}
	return nil, errors.New("what was armed can't be read and is not guarded: " + err.Error() + "; the file is now " + aside)
}

func parseState(text string) (bootID string, all []armed, err error) {
	head, rest, _ := strings.Cut(text, "\n")
	format, bootID, _ := strings.Cut(head, " ")
	if format != stateFormat || bootID == "" {
		return "", nil, errors.New("it does not begin with " + stateFormat + " and a boot id")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
		if line == "" {
			continue
		}
		number, group, _ := strings.Cut(line, " ")
		ns, err := strconv.ParseInt(number, 10, 64)
		if err != nil || ns <= 0 || wire.CheckGroup(group) != nil || len(all) == maxGroups {
			return "", nil, errors.New("line " + strconv.Itoa(len(all)+2) + " is no deadline and group")
		}
		all = append(all, armed{group, time.Duration(ns)})
	}
	return bootID, all, nil
}

// write replaces the file at once.
func (f stateFile) write(all []armed) error {
	b := append(append([]byte(stateFormat), ' '), f.bootID...)
	b = append(b, '\n')
	for _, a := range all {
		b = append(strconv.AppendInt(b, int64(a.deadline), 10), ' ')
		b = append(append(b, a.group...), '\n')
	}
	aside := f.path() + ".new"
	fd, err := open(aside, syscall.O_CREAT|syscall.O_WRONLY|syscall.O_TRUNC)
	if err != nil {
		return err
	}
	err = write(fd, b)
	syscall.Close(fd)
	if err == nil {
		err = syscall.Rename(aside, f.path())
	}
	return fail("write", f.path(), err)
}

// remove takes the file away, when nothing is armed.
func (f stateFile) remove() error {
	if err := syscall.Unlink(f.path()); err != nil && err != syscall.ENOENT {
		return fail("remove", f.path(), err)
	}
	return nil
}

func readBootID() (string, error) {
	text, err := readSmall("/proc/sys/kernel/random/boot_id", 64)
	return strings.TrimSpace(text), err
}
