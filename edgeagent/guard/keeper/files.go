package main

import (
	"bytes"
	"errors"
	"path"
	"strconv"
	"syscall"
)

// Package os is left out with all that it brings (doc.go), so this is what is used of it.

// fileError is what went wrong with which file.
type fileError struct {
	verb, path string
	err        error
}

func (e *fileError) Error() string { return e.verb + " " + e.path + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

func fail(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fileError{verb, path, err}
}

// gone are errors of a file that is not there, or of a group that was removed while it was open.
func gone(err error) bool { return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENODEV) }

func exists(path string) bool {
	var info syscall.Stat_t
	return syscall.Stat(path, &info) == nil
}

// open tries again when it was interrupted.
func open(path string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0o600)
		if err != syscall.EINTR {
			return fd, fail("open", path, err)
		}
	}
}

// read fills as much of b as there is.
func read(fd int, b []byte) (int, error) {
	for n := 0; n < len(b); {
		more, err := syscall.Read(fd, b[n:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return n, err
		case more == 0:
			return n, nil
		default:
			n += more
		}
	}
	return len(b), nil
}

// write writes all of b.
func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil && err != syscall.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// readSmall reads a file that has at most so many bytes.
func readSmall(path string, most int) (string, error) {
	fd, err := open(path, syscall.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	b := make([]byte, min(most+1, 512))
	for n := 0; ; b = append(b, make([]byte, min(len(b), most+1-len(b)))...) {
		more, err := read(fd, b[n:])
		if n += more; err != nil {
			return "", fail("read", path, err)
		}
		switch {
		case n > most:
			return "", errors.New(path + " is longer than " + strconv.Itoa(most) + " bytes")
		case n < len(b):
			return string(b[:n]), nil
		}
	}
}

// eachLine visits the lines of a file, however long that is; a line of more than 4 KiB is left out.
func eachLine(path string, visit func(line []byte)) error {
	fd, err := open(path, syscall.O_RDONLY)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 4<<10)
	held, skipping := 0, false
	for {
		n, err := read(fd, buf[held:])
		if err != nil {
			return fail("read", path, err)
		}
		rest := buf[:held+n]
		for {
			line, after, ok := bytes.Cut(rest, []byte{'\n'})
			if !ok {
				break
			}
			if !skipping {
				visit(line)
			}
			rest, skipping = after, false
		}
		if held+n < len(buf) {
			return nil // these files end with a line end
		}
		if held = copy(buf, rest); held == len(buf) {
			held, skipping = 0, true
		}
	}
}

// put writes a text into a file that is there, in one piece, as the kernel's files want it.
func put(path, text string) error {
	fd, err := open(path, syscall.O_WRONLY)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return fail("write", path, write(fd, []byte(text)))
}

// makeDir makes a directory and those above it, where they are missing.
func makeDir(dir string, mode uint32) error {
	err := syscall.Mkdir(dir, mode)
	if err == syscall.ENOENT && dir != "/" {
		if err := makeDir(path.Dir(dir), 0o755); err != nil {
			return err
		}
		err = syscall.Mkdir(dir, mode)
	}
	if err == nil {
		return nil
	}
	var info syscall.Stat_t
	if syscall.Stat(dir, &info) == nil && info.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return nil
	}
	return fail("make directory", dir, err)
}

// subdirectories are the names of the directories in one.
func subdirectories(dir string) ([]string, error) {
	// A directory has a link from each directory in it, its own and its parent's: mostly there is nothing to list.
	var info syscall.Stat_t
	if err := syscall.Stat(dir, &info); err == nil && info.Nlink == 2 {
		return nil, nil
	}
	fd, err := open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		if gone(err) {
			return nil, nil
		}
		return nil, err
	}
	defer syscall.Close(fd)
	var names []string
	buf := make([]byte, 4<<10)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil && !gone(err) {
			return nil, fail("list", dir, err)
		}
		if n <= 0 {
			return names, nil
		}
		names = append(names, directoriesIn(buf[:n])...)
	}
}

// directoriesIn are the names in what getdents64(2) returns: inode and offset, 8 bytes each, then length and type of the
// entry, then the name.
func directoriesIn(b []byte) (names []string) {
	const length, kind, name = 16, 18, 19
	for len(b) > name {
		n := int(b[length]) | int(b[length+1])<<8 // all that Skerry is built for is little-endian
		if n <= name || n > len(b) {
			return names
		}
		text, _, _ := bytes.Cut(b[name:n], []byte{0})
		if b[kind] == syscall.DT_DIR && string(text) != "." && string(text) != ".." {
			names = append(names, string(text))
		}
		b = b[n:]
	}
	return names
}
