package daemon

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// settled is how long after it is ready a program does what it does from then on.
const settled = 10 * time.Second

// maxMaps bounds what is read of /proc/self/smaps.
const maxMaps = 4 << 20

// mapping is a part of the memory.
type mapping struct {
	from, to uintptr
	code     bool // of the program's own file, and only read
}

// releaseCode gives back the memory of the pages of the program's own file that it only reads: what the start alone
// has needed, of every library that is linked, stays out; what is needed again comes back from the page cache. A mapping
// in which anything was ever changed (a dynamic linker does that before it makes it read-only) is left alone.
func releaseCode() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program's file: %w", err)
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read the program's mappings: %w", err)
	}
	defer file.Close()
	var now mapping
	lines := bufio.NewScanner(io.LimitReader(file, maxMaps))
	for lines.Scan() {
		if m, ok := parseMapping(lines.Text(), self); ok {
			now = m
			continue
		}
		if !now.code || strings.Join(strings.Fields(lines.Text()), " ") != "Anonymous: 0 kB" {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, now.from, now.to-now.from, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back the program's pages: %w", errno)
		}
	}
	return lines.Err()
}

// parseMapping reads the line that begins a mapping: "from-to rights offset device inode path".
func parseMapping(line, self string) (m mapping, ok bool) {
	var rights string
	if n, _ := fmt.Sscanf(line, "%x-%x %4s ", &m.from, &m.to, &rights); n != 3 || len(rights) != 4 {
		return mapping{}, false
	}
	m.code = strings.HasSuffix(line, " "+self) && rights[0] == 'r' && rights[1] != 'w' && rights[3] == 'p'
	return m, true
}
