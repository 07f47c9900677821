package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/change"
)

const killDir = "SKERRY_TEST_KILL_DIR"

// TestMain runs a process that a test kills, or the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(dir))
		os.Exit(1)
	}
	if dir := os.Getenv(rotateDir); dir != "" {
		if err := rotateAndDie(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeForEver counts up a few objects at once, and prints "name value revision" after each acknowledgement.
func writeForEver(dir string) error {
	s, report, err := Open(Config{Dir: dir, LockTimeout: 10 * time.Second})
	if err != nil || report != (Report{}) {
		return fmt.Errorf("open: %+v, %w", report, err)
	}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			k := key(fmt.Sprint("w", w))
			for {
				rec, _ := s.View().Get(k)
				n, _ := strconv.Atoi(string(rec.Value))
				rev, err := s.Commit(context.Background(), []change.Change{
					{Key: k, Base: rec.Rev, Value: []byte(strconv.Itoa(n + 1))},
					{Key: key(fmt.Sprint("twin", w)), Base: change.Any, Value: []byte(strconv.Itoa(n + 1))},
				})
				if err != nil {
					failed <- err
					return
				}
				os.Stdout.WriteString(fmt.Sprintf("%s %d %s\n", k.Name, n+1, rev))
			}
		}()
	}
	return <-failed
}

// A writer that is killed at any moment leaves a file that opens and holds everything it acknowledged, each
// commit whole, and no revision is ever used for two writes.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	var highest change.Rev
	acknowledged := 0
	for round := range 20 {
		last, n := killWriter(t, dir, time.Duration(random.IntN(40))*time.Millisecond, highest)
		acknowledged += n
		s, report, err := Open(Config{Dir: dir})
		if err != nil || report != (Report{}) {
			t.Fatalf("round %d: %+v, %v", round, report, err)
		}
		for name, want := range last {
			rec, _ := s.View().Get(key(name))
			if got, _ := strconv.Atoi(string(rec.Value)); got < want.value {
				t.Fatalf("round %d: %s is at %d, but %d was acknowledged", round, name, got, want.value)
			}
			twin, _ := s.View().Get(key(strings.Replace(name, "w", "twin", 1)))
			if string(twin.Value) != string(rec.Value) || twin.Rev != rec.Rev {
				t.Fatalf("round %d: half of a commit: %s and %s", round, rec, twin)
			}
			highest = max(highest, want.rev, rec.Rev)
		}
		if highest >= s.View().Rev() {
			t.Fatalf("round %d: revision %s was used, and the store goes on from %s", round, highest, s.View().Rev())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged < 20 {
		t.Fatalf("only %d writes were acknowledged: this proves nothing", acknowledged)
	}
}

type ack struct {
	value int
	rev   change.Rev
}

// killWriter starts a writer, kills it some time after its first acknowledgement, and returns what it
// acknowledged last of each object, and how many in all.
func killWriter(t *testing.T, dir string, after time.Duration, above change.Rev) (map[string]ack, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("a program under qemu-user can't start itself, unless the kernel knows of qemu")
	}
	if err != nil {
		t.Fatal(err)
	}
	last, n := map[string]ack{}, 0
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // what a kill cut off was not acknowledged
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var name string
		var a ack
		if _, err := fmt.Sscan(line, &name, &a.value, &a.rev); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if a.rev <= above {
			t.Fatalf("revision %s after %s of an earlier run", a.rev, above)
		}
		last[name] = a
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return last, n
}
