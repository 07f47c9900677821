package ballast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
)

func open(t *testing.T, dir string, size int64) *ballast.Ballast {
	t.Helper()
	b, err := ballast.New(ballast.Config{Dir: dir, Bytes: size})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheBallastIsOfRealBlocks(t *testing.T) {
	dir := t.TempDir()
	if open(t, dir, 1<<20).Low() {
		t.Fatal("there is room, but no ballast")
	}
	var info syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, ballast.FileName), &info); err != nil {
		t.Fatal(err)
	}
	if info.Size != 1<<20 || info.Blocks*512 < 1<<20 || info.Mode&0o777 != 0o600 {
		t.Errorf("%d bytes in %d blocks of 512, mode %o", info.Size, info.Blocks, info.Mode)
	}
}

func TestOnASmallDiskItIsASixteenth(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	open(t, dir, 4<<20)
	if info, err := os.Stat(filepath.Join(dir, ballast.FileName)); err != nil || info.Size() != 64<<10 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAWriteThatFindsNoRoomGetsTheBallast(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	b := open(t, dir, 1<<20)
	filler := fulldisk.Fill(t, dir)
	tries := 0
	save := func(name string) (bool, error) {
		return b.Save(func() error {
			tries++
			return os.WriteFile(filepath.Join(dir, name), make([]byte, 40<<10), 0o600)
		})
	}
	if used, err := save("a"); !used || err != nil || tries != 2 {
		t.Fatalf("the first write: used %v, %v, after %d tries", used, err, tries)
	}
	if used, err := save("b"); used || !ballast.IsFull(err) || tries != 3 {
		t.Fatalf("the second write: used %v, %v, after %d tries", used, err, tries)
	}
	if low, err := b.Refill(); !low || err != nil {
		t.Fatalf("made anew on a full disk: %v, %v", low, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if low, err := b.Refill(); low || err != nil || b.Low() {
		t.Fatalf("not made anew when there was room again: %v, %v", low, err)
	}
}

// It must never be what fills the disk.
func TestItIsNotMadeOfTheLastRoom(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 920<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if !open(t, dir, 1<<20).Low() {
		t.Error("it took more than half of what was left")
	}
}

func TestOtherErrorsLeaveTheBallast(t *testing.T) {
	b := open(t, t.TempDir(), 64<<10)
	tries := 0
	used, err := b.Save(func() error { tries++; return syscall.EIO })
	if used || !errors.Is(err, syscall.EIO) || tries != 1 || b.Low() {
		t.Errorf("used %v, %v, %d tries, low %v", used, err, tries, b.Low())
	}
}

// A start that was killed while it wrote the ballast leaves a part of it.
func TestHalfABallastIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ballast.FileName)
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 64<<10)
	if info, err := os.Stat(path); err != nil || info.Size() != 64<<10 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestRunMakesItAnew(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, 64<<10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx, time.Millisecond, func(err error) { t.Error(err) }) }()
	if !b.Use() || b.Use() {
		t.Error("the ballast must be there to be used, once")
	}
	for deadline := time.Now().Add(10 * time.Second); b.Low(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it was not made anew")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAllocatedBlocksNeedNoRoom(t *testing.T) {
	dir := fulldisk.Mount(t, 4<<20)
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ballast.Allocate(path, 128<<10); err != nil {
		t.Fatal(err)
	}
	fulldisk.Fill(t, dir)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(make([]byte, 100<<10), 4<<10); err != nil {
		t.Errorf("a write into allocated blocks: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, []byte("content\x00")) || len(data) != 128<<10 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestIsFull(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOSPC:                     true,
		syscall.EDQUOT:                     true,
		&os.PathError{Err: syscall.ENOSPC}: true,
		errors.New("file resize error: no space left on device"): true,
		syscall.EIO:                           false,
		fmt.Errorf("write: %w", os.ErrClosed): false,
	} {
		if got := ballast.IsFull(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	if ballast.IsFull(nil) {
		t.Error("nil is no error")
	}
}
