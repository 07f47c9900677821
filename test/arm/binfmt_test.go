package arm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Programs for arm64 are ELF files of 64 bits, little-endian, of machine 0xb7.
const (
	magic = `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`
	mask  = `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
)

// emulate makes the kernel run programs for arm64, of which program is one, until the test ends.
func emulate(t *testing.T, program string) {
	t.Helper()
	if exec.Command(program, "--version").Run() == nil {
		t.Log("this machine runs programs for arm64 already")
		return
	}
	if err := register(t); err != nil {
		t.Skipf("NOT TESTED: a container for arm64. This machine can't be made to run programs for it: %v", err)
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil {
		t.Fatalf("registered qemu, but %s doesn't run: %v: %s", program, err, out)
	}
}

// register adds the rule, under a name of our own. Nothing else on the machine is touched: binfmt_misc is
// mounted in a directory of the test.
func register(t *testing.T) error {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		return errors.New("qemu-aarch64-static is not installed (apt-get install qemu-user-static)")
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
	name := fmt.Sprintf("skerry-test-%d", os.Getpid())
	rule := fmt.Sprintf(":%s:M::%s:%s:%s:PF", name, magic, mask, qemu)
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
