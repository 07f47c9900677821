package daemon

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// A program gives memory back once, when it has settled. A daemon that shares its process with others gives none: a
// thousand of them would read each other's mappings for minutes.
func TestWhenMemoryIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New("test", zerolog.Nop(), io.Discard)
		if d.release != nil {
			t.Error("a daemon takes the process for its own")
		}
		d.Ready()
		program, released := New("test", zerolog.Nop(), io.Discard), 0
		program.release = func() error { released++; return nil }
		program.Ready()
		program.Ready()
		<-time.After(settled)
		synctest.Wait()
		if released != 1 {
			t.Errorf("memory was given back %d times", released)
		}
	})
}

// Only what is read of the program's own file is given back, and it is there when it is needed again.
func TestReleaseCode(t *testing.T) {
	for line, want := range map[string]mapping{
		"00400000-01c2b000 r-xp 00000000 fe:00 131 /usr/bin/skerry-master": {0x400000, 0x1c2b000, true},
		"01c2b000-0358a000 r--p 0182b000 fe:00 131 /usr/bin/skerry-master": {0x1c2b000, 0x358a000, true},
		"0358a000-0362e000 rw-p 0318a000 fe:00 131 /usr/bin/skerry-master": {0x358a000, 0x362e000, false},
		"7f000000-7f001000 r--p 00000000 fe:00 7 /lib/x/libc.so.6":         {0x7f000000, 0x7f001000, false},
		"7f000000-7f001000 r--s 00000000 fe:00 7 /usr/bin/skerry-master":   {0x7f000000, 0x7f001000, false},
	} {
		if got, ok := parseMapping(line, "/usr/bin/skerry-master"); !ok || got != want {
			t.Errorf("%s: %+v, %t", line, got, ok)
		}
	}
	for _, line := range []string{"Anonymous:             0 kB", "VmFlags: rd ex mr mw me", "", "Size:               6316 kB"} {
		if m, ok := parseMapping(line, "/usr/bin/skerry-master"); ok {
			t.Errorf("%q is the mapping %+v", line, m)
		}
	}
	for range 3 {
		if err := releaseCode(); err != nil {
			t.Fatal(err)
		}
	}
}
