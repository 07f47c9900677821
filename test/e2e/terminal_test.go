package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a new one of that size: the side of who looks at it, and that of the programs.
func terminal(t *testing.T, rows, columns uint16) (user, programs *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	programs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { programs.Close() })
	resize(t, user, rows, columns)
	return user, programs
}

// resize is what happens when the user pulls at the corner of the window.
func resize(t *testing.T, user *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// A terminal whose size changes while a session goes on has the new size in the container too.
func TestTerminalIsResized(t *testing.T) {
	f := newFleet(t, 1)
	f.shell("box")
	clients(t, func(t *testing.T, old bool) {
		user, programs := terminal(t, 31, 97)
		cmd := f.command(old, programs, "exec", "-it", "box", "--", "sh", "-c", "while stty size; do sleep 0.2; done")
		cmd.Stdout, cmd.Stderr = programs, programs
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // its standard input, 0
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		var shown lockedBuffer
		go func() { // ends with the terminal
			buffer := make([]byte, 4096)
			for {
				n, err := user.Read(buffer)
				if err != nil {
					return
				}
				shown.Write(buffer[:n])
			}
		}()
		sub := &fleet{T: t}
		for _, size := range [][2]uint16{{31, 97}, {40, 120}, {12, 60}} {
			resize(t, user, size[0], size[1])
			want := fmt.Sprintf("%d %d\r\n", size[0], size[1])
			sub.until("the container sees "+want, func() (bool, string) {
				text := shown.String()
				return strings.Contains(text, want), text
			})
		}
	})
}
