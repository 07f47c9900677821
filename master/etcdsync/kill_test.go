package etcdsync

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// victimEnv makes the test binary a master that writes until it is killed: directory, URL of etcd, first number.
const victimEnv = "SKERRY_ETCDSYNC_VICTIM"

// victimKeys is how many objects it writes in turn.
const victimKeys = 25

func TestMain(m *testing.M) {
	if args := os.Getenv(victimEnv); args != "" {
		fmt.Fprintln(os.Stderr, victim(strings.Split(args, " ")))
		os.Exit(1)
	}
	if args := os.Getenv(pusherEnv); args != "" {
		if err := pusher(strings.Split(args, " ")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// These tests wait for leases most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim writes the numbers into its objects, and prints each once it is acknowledged.
func victim(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	sync := New(Config{Server: Server{Endpoints: []string{args[1]}}, Cluster: "test", TTL: testTTL, Clock: daemon.Clock, Logger: zerolog.Nop()})
	local, _, err := bolt.Open(bolt.Config{Dir: args[0], Schema: resource.Schema(), Sealed: resource.Sealed(), Replicator: sync, Follows: true,
		UserWrite: merge.UserWrite, Clock: daemon.Clock, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	if err := sync.Attach(local, "id", Master{Name: "victim"}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- sync.Run(context.Background()) }()
	for {
		c := change.Change{Key: key(fmt.Sprint("k", n%victimKeys)), Base: change.Any, Value: []byte(strconv.Itoa(n))}
		if n%7 == 0 {
			c.Value = nil // a deletion is a write, too
		}
		if _, err := local.Commit(context.Background(), []change.Change{c}); err == nil {
			fmt.Println(n)
			n++
			continue
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Millisecond): // it does not lead yet
		}
	}
}

// A master that is killed at any moment, online, as etcd goes away, cut off or catching up, loses nothing that it has
// acknowledged, and etcd gets all of it.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a := newMaster(t, "a", keys, line.url())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	acknowledged := 0
	for round := range 14 {
		acknowledged = killVictim(t, a.dir, line, acknowledged, chance, round)
	}
	line.set(false)
	a.start()
	a.wait(Leading)
	checkNumbers(t, a, acknowledged)
	b := newMaster(t, "b", keys, e.urls()...)
	b.start()
	b.wait(Follower)
	same(t, a, b)
	t.Logf("%d writes were acknowledged", acknowledged)
}

// killVictim lets a master write from number on, cuts or mends its line somewhere, and kills it. It returns the newest
// number that was acknowledged.
func killVictim(t *testing.T, dir string, line uplink, number int, chance *rand.Rand, round int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", victimEnv, dir, line.url(), number+1))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	turnAt, last := number+1+chance.IntN(40), number+20+chance.IntN(60)
	lines := bufio.NewScanner(out)
	for number < last && lines.Scan() {
		if number, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if number == turnAt && round > 0 {
			line.set(round%3 != 0)
		}
	}
	// Anywhere in the writes that follow, which may be acknowledged too.
	timer := time.AfterFunc(time.Duration(chance.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for lines.Scan() {
		if number, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Wait()
	return number
}

// checkNumbers looks whether everything up to a number is there, or something newer.
func checkNumbers(t *testing.T, m *master, acknowledged int) {
	t.Helper()
	view := m.store.View()
	for n := max(1, acknowledged-victimKeys+1); n <= acknowledged; n++ {
		rec, there := view.Get(key(fmt.Sprint("k", n%victimKeys)))
		switch {
		case n%7 == 0 && there && string(rec.Value) != strconv.Itoa(n+victimKeys):
			t.Errorf("the deletion %d was acknowledged, and there is %s", n, rec.Value)
		case n%7 != 0 && string(rec.Value) != strconv.Itoa(n) && !(n+victimKeys == acknowledged+1):
			t.Errorf("the write %d was acknowledged, and there is %q", n, rec.Value)
		}
	}
}
