package arm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// board is a kind of machine that is emulated.
type board struct {
	platform v1.Platform
	qemu     string
	cpu      string // as qemu calls it
	magic    string // with which its programs begin, and which bits of that count
	mask     string
}

// Programs are ELF files, little-endian: of 64 bits for machine 0xb7, or of 32 bits for machine 0x28.
var boards = []board{{
	platform: v1.Platform{OS: "linux", Architecture: "arm64"},
	qemu:     "qemu-aarch64-static",
	cpu:      "cortex-a53",
	magic:    `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`,
	mask:     `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`,
}, {
	platform: v1.Platform{OS: "linux", Architecture: "arm", Variant: "v6"},
	qemu:     "qemu-arm-static",
	cpu:      "arm1176",
	magic:    `\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00`,
	mask:     `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`,
}}

// emulate makes the kernel run a board's programs, of which program is one, until the test ends.
func emulate(t *testing.T, b board, program string) {
	t.Helper()
	t.Setenv("QEMU_CPU", b.cpu) // for whatever the test starts
	if exec.Command(program, "--version").Run() == nil {
		t.Logf("this machine runs programs for %s already", b.platform)
		return
	}
	if err := register(t, b); err != nil {
		t.Skipf("NOT TESTED: a node and a container for %s. This machine can't be made to run its programs: %v", b.platform, err)
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil {
		t.Fatalf("registered %s, but %s doesn't run: %v: %s", b.qemu, program, err, out)
	}
}

// register adds the rule, under a name of our own. Nothing else on the machine is touched: binfmt_misc is
// mounted in a directory of the test.
func register(t *testing.T, b board) error {
	qemu, err := exec.LookPath(b.qemu)
	if err != nil {
		return fmt.Errorf("%s is not installed (apt-get install qemu-user-static)", b.qemu)
	}
	dir := t.TempDir()
	if err := unix.Mount("binfmt_misc", dir, "binfmt_misc", 0, ""); err != nil {
		return fmt.Errorf("mount binfmt_misc: %w", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount binfmt_misc: %v", err)
		}
	})
	// F opens qemu now, so that it need not be in the container; P keeps argv[0].
	name := fmt.Sprintf("skerry-test-%d-%s", os.Getpid(), b.platform.Architecture)
	rule := fmt.Sprintf(":%s:M::%s:%s:%s:PF", name, b.magic, b.mask, qemu)
	if err := os.WriteFile(filepath.Join(dir, "register"), []byte(rule), 0); err != nil {
		return fmt.Errorf("register %s: %w", qemu, err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("-1"), 0); err != nil {
			t.Errorf("take the rule %s out of binfmt_misc: %v", name, err)
		}
	})
	return nil
}
