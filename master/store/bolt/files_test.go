package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

func fixedClock() clock.Now { return clock.Now{Wall: time.Unix(1e9, 0)} }

// Whatever happens to the bytes of state.db: it is opened with exactly the content it had, or it is set aside
// and the snapshot stands in. Nothing in between, and never a panic.
func TestDamage(t *testing.T) {
	source, _ := mustOpen(t, Config{Dir: t.TempDir()})
	fill(t, source, "old")
	if err := source.SetMeta("ca", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := source.Keep(); err != nil {
		t.Fatal(err)
	}
	old := list(source)
	fill(t, source, "new")
	all, epoch := list(source), source.Epoch()
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	dir := source.config.Dir
	whole, err := os.ReadFile(filepath.Join(dir, StateFile))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{
		"empty": {}, "zeroes": make([]byte, len(whole)), "text": bytes.Repeat([]byte("no database\n"), 9000),
		"cut to a page": whole[:4096], "cut to a half": whole[:30000],
	}
	random := rand.New(rand.NewPCG(1, 1))
	for n := range 30 {
		damaged := bytes.Clone(whole)
		at := random.IntN(len(bytes.TrimRight(whole, "\x00")))
		if n%2 == 0 {
			damaged[at] ^= 1 << random.IntN(8)
		} else {
			clear(damaged[at:min(at+4096, len(damaged))])
		}
		damages[fmt.Sprintf("damage %d at %d", n, at)] = damaged
	}
	restored := 0
	for name, damaged := range damages {
		t.Run(name, func(t *testing.T) {
			copied := t.TempDir()
			for _, file := range []string{snapshotFile, epochFile, keyring.FileName} {
				if err := copyFile(filepath.Join(dir, file), filepath.Join(copied, file)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(copied, StateFile), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			s, report := mustOpen(t, Config{Dir: copied})
			want := all
			if report.Problem != nil {
				restored++
				want = old
				kept, err := os.ReadFile(report.SetAside)
				if err != nil || !bytes.Equal(kept, damaged) {
					t.Fatalf("the damaged file was not kept as it was: %v", err)
				}
			}
			if diff := cmp.Diff(want, list(s)); diff != "" {
				t.Fatalf("opened with %+v, but (-want +got):\n%s", report, diff)
			}
			if secret, err := s.Meta("ca"); string(secret) != "secret" || err != nil {
				t.Fatalf("setting: %q, %v", secret, err)
			}
			if !epoch.Less(s.Epoch()) {
				t.Fatalf("epoch %s follows %s", s.Epoch(), epoch)
			}
			write(t, s, key("a"), "1")
		})
	}
	if restored < 10 || restored > len(damages)-5 {
		t.Fatalf("%d of %d damages were noticed: this proves nothing", restored, len(damages))
	}
}

// fill writes thirty objects in one commit.
func fill(t *testing.T, s *Store, prefix string) {
	t.Helper()
	var changes []change.Change
	for i := range 30 {
		changes = append(changes, change.Change{Key: key(fmt.Sprint(prefix, i)), Value: bytes.Repeat([]byte("x"), i*40)})
	}
	if _, err := s.Commit(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func TestACorruptFileWithoutASnapshotIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, StateFile)
	if err := os.WriteFile(path, make([]byte, 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, snapshot := range [][]byte{nil, make([]byte, 9000)} {
		if snapshot != nil {
			if err := os.WriteFile(filepath.Join(dir, snapshotFile), snapshot, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := Open(Config{Dir: dir})
		if !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("got %v", err)
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, make([]byte, 9000)) {
			t.Fatalf("the file was touched: %v", err)
		}
	}
}

// A process that was killed between setting a file aside and restoring leaves none: that is no new cluster.
func TestAMissingFileBesideASnapshotIsRestored(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	rev := write(t, s, key("a"), "1")
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	last := s.Epoch()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dir := s.config.Dir
	for _, lost := range [][]string{{StateFile}, {StateFile, epochFile}} {
		for _, file := range lost {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		s, report := mustOpen(t, Config{Dir: dir})
		if report.Problem == nil || report.SetAside != "" || report.RestoredRev != rev || s.View().Count("pods") != 1 {
			t.Fatalf("without %v: %+v", lost, report)
		}
		if !last.Less(s.Epoch()) {
			t.Fatalf("without %v: epoch %s follows %s", lost, s.Epoch(), last)
		}
		last = s.Epoch()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFormatOfTheFutureIsRefused(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(putFormat(formatNumber + 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.config.Dir, StateFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, report, err := Open(s.config)
	if err == nil || errors.Is(err, errCorrupt) || report != (Report{}) || !strings.Contains(err.Error(), path) ||
		!strings.Contains(err.Error(), "format [3] is not known here: use the skerry-master that wrote it, or a newer one") {
		t.Fatalf("got %v, %+v", err, report)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}

	// Nor does it take the place of a file that is corrupt: who goes back to an older skerry-master must not lose both.
	if err := os.Rename(path, filepath.Join(s.config.Dir, snapshotFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, before[:4096], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err = Open(s.config); err == nil || !strings.Contains(err.Error(), "format [3] is not known here") || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("as a snapshot: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before[:4096], after) {
		t.Errorf("the corrupt file was changed: %v", err)
	}
}

func TestAFileThatIsMostlyFreeIsCompactedAtStart(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	for i := range 40 {
		write(t, s, key(fmt.Sprint(i)), strings.Repeat("x", 60<<10))
	}
	var deletes []change.Change
	for i := range 38 {
		deletes = append(deletes, change.Change{Key: key(fmt.Sprint(i)), Base: change.Any})
	}
	if _, err := s.Commit(t.Context(), deletes); err != nil {
		t.Fatal(err)
	}
	before := list(s)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(s.config.Dir, StateFile))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	large := size()
	again, report := mustOpen(t, s.config)
	if report.Freed < 1<<20 || report.CompactError != nil {
		t.Fatalf("%+v", report)
	}
	if diff := cmp.Diff(before, list(again)); diff != "" {
		t.Fatal(diff)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if small := size(); small >= large {
		t.Fatalf("the file has %d bytes, had %d", small, large)
	}
}

// readCopy is the content of a copy.
func readCopy(t *testing.T, s *Store) []byte {
	t.Helper()
	c, err := s.Copy()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	copied, err := io.ReadAll(c)
	if err != nil || c.Size != int64(len(copied)) || c.Epoch != s.Epoch() {
		t.Fatalf("%d bytes of %d, epoch %s, %v", len(copied), c.Size, c.Epoch, err)
	}
	return copied
}

func TestACopyIsTheStoreAsItWas(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	write(t, s, key("a"), "1")
	if err := s.SetMeta("ca", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	c, err := s.Copy()
	if err != nil {
		t.Fatal(err)
	}
	rev := write(t, s, key("later"), "1") // goes on meanwhile, and is not in it
	copied, err := io.ReadAll(c)
	if err != nil || c.Size != int64(len(copied)) || c.Epoch != s.Epoch() || c.Rev >= rev {
		t.Fatalf("%d bytes of %d, epoch %s, revision %s, %v", len(copied), c.Size, c.Epoch, c.Rev, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, StateFile), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(keyFile(s.config.Dir), keyFile(dir)); err != nil {
		t.Fatal(err)
	}
	other, report := mustOpen(t, Config{Dir: dir})
	if _, err := s.Commit(t.Context(), []change.Change{{Key: key("later"), Base: change.Any}}); err != nil {
		t.Fatal(err)
	}
	if report != (Report{}) || !cmp.Equal(list(s), list(other)) {
		t.Fatalf("%+v: %v", report, list(other))
	}
	left, err := filepath.Glob(filepath.Join(s.config.Dir, "*"+asideSuffix))
	if left != nil || err != nil {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

// One snapshot a day, none while nothing is written, an hour's wait after a failure.
func TestDailySnapshot(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	path := filepath.Join(s.config.Dir, snapshotFile)
	start := clock.Now{Wall: time.Now(), Boot: time.Hour}
	step := func(after, wantNext time.Duration, wantTaken bool) {
		t.Helper()
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		next, err := s.Step(start.Add(after))
		if err != nil || next.Since(start) != wantNext {
			t.Fatalf("after %s: next after %s, want %s; %v", after, next.Since(start), wantNext, err)
		}
		if _, err := os.Stat(path); (err == nil) != wantTaken {
			t.Fatalf("after %s: a snapshot was taken: %v", after, err == nil)
		}
	}
	const day = 24 * time.Hour
	step(0, snapshotAfter, false)
	step(snapshotAfter, snapshotAfter+day, true)
	step(snapshotAfter+day-1, snapshotAfter+day, false)
	step(snapshotAfter+day, snapshotAfter+2*day, false) // nothing was written
	write(t, s, key("a"), "1")
	step(snapshotAfter+2*day, snapshotAfter+3*day, true)
}

func TestFirstSnapshotDependsOnTheAgeOfTheLast(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(s.config.Dir, snapshotFile))
	if err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]time.Duration{
		0: 24 * time.Hour, 10 * time.Hour: 14 * time.Hour, 30 * time.Hour: snapshotAfter,
		-1e6 * time.Hour: 24 * time.Hour,
	} {
		if got := s.firstSnapshot(clock.Now{Wall: info.ModTime().Add(age)}); got != want {
			t.Errorf("beside a snapshot %s old: %s, want %s", age, got, want)
		}
	}
}
