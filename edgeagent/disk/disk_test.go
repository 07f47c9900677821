package disk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/edgeagent/disk"
	"github.com/skerry-edge/skerry/protocol/message"
)

func open(t *testing.T, dir string) *disk.Disk {
	t.Helper()
	d, err := disk.Open(disk.Config{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(term uint32, serial uint64) message.Position {
	return message.Position{Epoch: message.Epoch{Term: term}, Serial: serial}
}

func TestEverythingOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "agent")
	d := open(t, dir)
	if _, _, content, err := d.Desired(); err != nil || content != nil {
		t.Fatalf("a new disk has the desired state %q, %v", content, err)
	}
	content := []byte("content")
	ok(t, d.KeepDesired(at(1, 1), message.DigestOf(content), content))
	ok(t, d.KeepPosition(at(2, 7)))
	ok(t, d.KeepEpoch(message.Epoch{Term: 2, Start: 3}))
	ok(t, d.KeepEpoch(message.Epoch{Term: 1, Start: 9})) // lower: changes nothing
	ok(t, d.KeepRecords(map[string][]byte{"a": []byte("1"), "b": []byte("2")}))
	ok(t, d.KeepRecords(map[string][]byte{"b": nil, "c": nil}))
	ok(t, d.KeepIdentity([]byte("me")))
	first := d.Run()
	ok(t, d.Close())

	d = open(t, dir)
	if d.Run() != first+1 {
		t.Errorf("run %d after %d", d.Run(), first)
	}
	position, digest, got, err := d.Desired()
	if err != nil || position != at(2, 7) || digest != message.DigestOf(content) || !bytes.Equal(got, content) {
		t.Errorf("Desired = %v, %v, %q, %v", position, digest, got, err)
	}
	if e, _ := d.Epoch(); e != (message.Epoch{Term: 2, Start: 3}) {
		t.Errorf("Epoch = %v", e)
	}
	records, err := d.Records()
	if diff := cmp.Diff(map[string][]byte{"a": []byte("1")}, records); diff != "" || err != nil {
		t.Errorf("Records (-want +got), %v:\n%s", err, diff)
	}
	if id, err := d.Identity(); string(id) != "me" || err != nil {
		t.Errorf("Identity = %q, %v", id, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "identity")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity file: %v, %v", info.Mode(), err)
	}
}

func TestTheSameAgainWritesNothing(t *testing.T) {
	d := open(t, t.TempDir())
	content := bytes.Repeat([]byte("x"), 300<<10)
	digest := message.DigestOf(content)
	keep := func(serial uint64) {
		ok(t, d.KeepDesired(at(1, serial), digest, content))
		ok(t, d.KeepEpoch(message.Epoch{Term: 1}))
		ok(t, d.KeepRecords(map[string][]byte{"a": []byte("1")}))
		ok(t, d.KeepIdentity([]byte("me")))
	}
	keep(1)
	before := d.Written()
	keep(1)
	if wrote := d.Written() - before; wrote != 0 {
		t.Errorf("keeping the same again wrote %d bytes", wrote)
	}
	keep(2)
	if wrote := d.Written() - before; wrote == 0 || wrote > 64<<10 {
		t.Errorf("a new position wrote %d bytes beside a desired state of %d", wrote, len(content))
	}
}

func TestOneAgentADirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := disk.Open(disk.Config{Dir: dir, LockTimeout: 50 * time.Millisecond, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), dir+" is in use by another skerry-agent") {
		t.Errorf("second Open = %v", err)
	}
}

// Whatever a power cut or a bad card leaves, the agent starts, keeps the file and knows who it is.
func TestADamagedDatabaseIsSetAside(t *testing.T) {
	damage := map[string]func([]byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"cut in the meta":  func(b []byte) []byte { return b[:1000] },
		"cut in the tree":  func(b []byte) []byte { return b[:3*os.Getpagesize()] },
		"zeros":            func(b []byte) []byte { return make([]byte, len(b)) },
		"noise in the end": func(b []byte) []byte { copy(b[2*os.Getpagesize():], bytes.Repeat([]byte{0xA5}, len(b))); return b },
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			content := bytes.Repeat([]byte("x"), 100<<10)
			ok(t, d.KeepDesired(at(1, 1), message.DigestOf(content), content))
			ok(t, d.KeepIdentity([]byte("me")))
			ok(t, d.Close())
			path := filepath.Join(dir, "agent.db")
			data, err := os.ReadFile(path)
			ok(t, err)
			ok(t, os.WriteFile(path, harm(data), 0o600))

			var log bytes.Buffer
			d, err = disk.Open(disk.Config{Dir: dir, Log: zerolog.New(&log)})
			ok(t, err)
			defer d.Close()
			if position, _, _, err := d.Desired(); err != nil || position != (message.Position{}) {
				t.Errorf("Desired = %v, %v", position, err)
			}
			if id, _ := d.Identity(); string(id) != "me" {
				t.Errorf("Identity = %q", id)
			}
			if !strings.Contains(log.String(), `"level":"error"`) {
				t.Errorf("logged %q", log.String())
			}
			if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) != 1 {
				t.Errorf("set aside: %v", kept)
			}
			ok(t, d.KeepEpoch(message.Epoch{Term: 1}))
		})
	}
}

func TestADamagedDesiredStateIsDropped(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	content := bytes.Repeat([]byte("x"), 100<<10)
	ok(t, d.KeepDesired(at(1, 1), message.DigestOf(content), content))
	ok(t, d.KeepEpoch(message.Epoch{Term: 4}))
	ok(t, d.Close())
	change(t, filepath.Join(dir, "agent.db"), func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("content"))
		sealed := bytes.Clone(bucket.Get([]byte("sealed")))
		sealed[5000] ^= 1
		return bucket.Put([]byte("sealed"), sealed)
	})
	d = open(t, dir)
	if position, _, _, err := d.Desired(); err != nil || position != (message.Position{}) {
		t.Errorf("Desired = %v, %v", position, err)
	}
	if e, _ := d.Epoch(); e.Term != 4 {
		t.Errorf("the epoch went with it: %v", e)
	}
}

// A small value that can't be read costs itself, and what has no meaning without it, but never the start.
func TestADamagedValueIsDropped(t *testing.T) {
	var nothing message.Position
	for key, left := range map[string]struct {
		position message.Position
		epoch    message.Epoch
		runs     bool // they are counted on
	}{
		"run":      {position: at(2, 7), epoch: message.Epoch{Term: 4}},
		"epoch":    {position: at(2, 7), epoch: message.Epoch{Term: 2}, runs: true}, // that of the position
		"position": {position: nothing, epoch: message.Epoch{Term: 4}, runs: true},
	} {
		t.Run(key, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			content := []byte("content")
			ok(t, d.KeepDesired(at(2, 7), message.DigestOf(content), content))
			ok(t, d.KeepEpoch(message.Epoch{Term: 4}))
			ok(t, d.KeepRecords(map[string][]byte{"a": []byte("1")}))
			ok(t, d.Close())
			harm(t, filepath.Join(dir, "agent.db"), key)

			var log bytes.Buffer
			for n := range 2 { // the second start finds nothing wrong
				log.Reset()
				d, err := disk.Open(disk.Config{Dir: dir, Log: zerolog.New(&log)})
				ok(t, err)
				if loud := strings.Contains(log.String(), `"level":"error"`); loud != (n == 0) {
					t.Errorf("start %d logged %q", n, log.String())
				}
				if position, _, _, err := d.Desired(); err != nil || position != left.position {
					t.Errorf("start %d: Desired = %v, %v, want %v", n, position, err, left.position)
				}
				if e, _ := d.Epoch(); e != left.epoch {
					t.Errorf("start %d: Epoch = %v, want %v", n, e, left.epoch)
				}
				if want := uint32(n + 1); left.runs && d.Run() != want+1 || !left.runs && d.Run() != want {
					t.Errorf("start %d is run %d", n, d.Run())
				}
				if records, err := d.Records(); len(records) != 1 || err != nil {
					t.Errorf("start %d: Records = %v, %v", n, records, err)
				}
				ok(t, d.Close())
			}
		})
	}
}

// harm makes a small value unreadable in a database that is whole.
func harm(t *testing.T, path, key string) {
	t.Helper()
	change(t, path, func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("node"))
		if bucket.Get([]byte(key)) == nil {
			t.Errorf("there is no %q", key)
		}
		return bucket.Put([]byte(key), []byte{0xff, 0xff})
	})
}

// change writes into a database behind the agent's back.
func change(t *testing.T, path string, write func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(write))
	ok(t, db.Close())
}

// A node that joins forgets what another cluster wanted, for good; it keeps what is its own.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	content := []byte("content")
	ok(t, d.KeepDesired(at(7, 1), message.DigestOf(content), content))
	ok(t, d.KeepEpoch(message.Epoch{Term: 7, Start: 3}))
	ok(t, d.KeepIdentity([]byte("me")))
	ok(t, d.Forget())
	written := d.Written()
	ok(t, d.Forget())
	if d.Written() != written {
		t.Error("forgetting again writes again")
	}
	check := func(what string) {
		t.Helper()
		position, digest, got, err := d.Desired()
		if err != nil || position != (message.Position{}) || digest != (message.Digest{}) || got != nil {
			t.Errorf("%s: the desired state is %v, %v, %q, %v", what, position, digest, got, err)
		}
		if epoch, err := d.Epoch(); err != nil || epoch != (message.Epoch{}) {
			t.Errorf("%s: the epoch is %v, %v", what, epoch, err)
		}
	}
	check("at once")
	run := d.Run()
	ok(t, d.Close())
	d = open(t, dir)
	check("in the next run")
	if id, err := d.Identity(); err != nil || string(id) != "me" || d.Run() != run+1 {
		t.Errorf("identity %q, %v, run %d after %d", id, err, d.Run(), run)
	}
	ok(t, d.KeepDesired(at(1, 1), message.DigestOf(content), content))
	if position, _, got, err := d.Desired(); err != nil || position != at(1, 1) || string(got) != "content" {
		t.Errorf("afterwards: %v, %q, %v", position, got, err)
	}
}
