package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// engineTimeout is how long containerd may take to answer on a slow board.
const engineTimeout = 10 * time.Second

// Oldest version of containerd that the agent works with.
const oldestMajor, oldestMinor = 1, 6

func (c Config) containerd(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	version, err := c.Engine(ctx)
	if err != nil {
		seen := err.Error()
		if !strings.Contains(seen, c.Socket) {
			seen += " (" + c.Socket + ")"
		}
		return Finding{Fail, "containerd", seen,
			"install it (on Debian: apt-get install containerd) and start it (systemctl enable --now containerd), or say with --containerd where it listens"}
	}
	major, minor, ok := parseVersion(version)
	switch {
	case !ok:
		return Finding{Warn, "containerd", fmt.Sprintf("its version %q can't be read", version), fmt.Sprintf("make sure that it is %d.%d or newer", oldestMajor, oldestMinor)}
	case major < oldestMajor || major == oldestMajor && minor < oldestMinor:
		return Finding{Fail, "containerd", "version " + version, fmt.Sprintf("install %d.%d or newer; Debian has it since version 12", oldestMajor, oldestMinor)}
	}
	return Finding{OK, "containerd", "version " + version, ""}
}

// parseVersion reads the first two numbers of 1.6.20~ds1-1.
func parseVersion(text string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(text, "v"), ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	major, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(second)
	return major, minor, err == nil
}
