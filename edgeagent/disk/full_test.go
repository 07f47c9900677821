package disk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/disk"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
	"github.com/skerry-edge/skerry/protocol/message"
)

// The pod that fills the disk can be taken off the node: the desired state without it is kept, by an agent that
// runs and by one that starts then.
func TestOnAFullDiskTheDesiredStateIsKept(t *testing.T) {
	dir := fulldisk.Mount(t, 2<<20)
	var log bytes.Buffer
	open := func() *disk.Disk {
		d, err := disk.Open(disk.Config{Dir: dir, Log: zerolog.New(&log)})
		ok(t, err)
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	d := open()
	content := bytes.Repeat([]byte("x"), 30<<10)
	ok(t, d.KeepDesired(at(1, 1), message.DigestOf(content), content))
	filler := fulldisk.Fill(t, dir)
	without := bytes.Repeat([]byte("y"), 50<<10)
	ok(t, d.KeepDesired(at(1, 2), message.DigestOf(without), without))
	for _, words := range []string{`"data_dir":"` + dir + `"`, "the disk is full", "delete pods that write much"} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("the log does not say %q: %s", words, log.String())
		}
	}
	ok(t, d.Close())

	d = open()
	if position, _, got, err := d.Desired(); err != nil || position != at(1, 2) || !bytes.Equal(got, without) {
		t.Errorf("Desired = %v, %d bytes, %v", position, len(got), err)
	}
	ok(t, d.KeepIdentity([]byte("me")))
	ok(t, os.Remove(filler))
	ok(t, d.Close())
	open()
	if _, err := os.Stat(filepath.Join(dir, ballast.FileName)); err != nil {
		t.Errorf("no room is reserved for the next time: %v", err)
	}
}

// A new agent starts on a disk that was filled before it came, if its directory had been used before.
func TestOnAFullDiskANewDatabaseIsMade(t *testing.T) {
	dir := fulldisk.Mount(t, 2<<20)
	ok(t, open(t, dir).Close())
	fulldisk.Fill(t, dir)
	ok(t, os.WriteFile(filepath.Join(dir, "agent.db"), nil, 0o600)) // damaged, and set aside
	fulldisk.Fill(t, dir)
	d := open(t, dir)
	ok(t, d.KeepIdentity([]byte("me")))
}

// A pod that takes each block as soon as it is free can't be outrun: what the agent needs, it has beforehand.
func TestTheDatabaseHasItsBlocksBeforehand(t *testing.T) {
	dir := fulldisk.Mount(t, 66<<20) // the least that leaves the rest plenty
	d := open(t, dir)
	fulldisk.Fill(t, dir)
	ok(t, os.Remove(filepath.Join(dir, ballast.FileName)))
	fulldisk.Fill(t, dir)
	for serial := range uint64(20) {
		content := bytes.Repeat([]byte{byte(serial)}, 512<<10)
		ok(t, d.KeepDesired(at(1, 1+serial), message.DigestOf(content), content))
	}
	ok(t, d.Close())
	open(t, dir)
}

// When even the reserved room is gone the error says which directory it is about, and what to do.
func TestWithoutAnyRoomTheErrorSaysWhatToDo(t *testing.T) {
	dir := fulldisk.Mount(t, 2<<20)
	d := open(t, dir)
	fulldisk.Fill(t, dir)
	ok(t, os.Remove(filepath.Join(dir, ballast.FileName)))
	fulldisk.Fill(t, dir)
	content := bytes.Repeat([]byte("x"), 512<<10)
	err := d.KeepDesired(at(1, 1), message.DigestOf(content), content)
	if err == nil || !ballast.IsFull(err) || !strings.Contains(err.Error(), "the disk with "+dir+" is full; delete pods") {
		t.Errorf("KeepDesired = %v (%v)", err, syscall.ENOSPC)
	}
}
