package etcdsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// pusherEnv makes the test binary a master that brings etcd what was written while it was away, and kills itself at a moment:
// directory, URL of etcd, cluster, number of the moment (0: none, it ends in the end).
const pusherEnv = "SKERRY_ETCDSYNC_PUSHER"

// moments are those before and after each write into etcd and each change of the store.
type moments struct {
	mu     sync.Mutex
	passed int
	at     int
}

// pass is called at one of them. It does not return from the last.
func (m *moments) pass(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	fmt.Println(name)
	if m.passed == m.at {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (m *moments) around(name string, do func() error) error {
	m.pass("before " + name)
	err := do()
	m.pass("after " + name)
	return err
}

// watchedKV is etcd, watched.
type watchedKV struct {
	clientv3.KV
	*moments
}

func (kv watchedKV) Put(ctx context.Context, key, value string, options ...clientv3.OpOption) (answer *clientv3.PutResponse, err error) {
	err = kv.around("put of "+what(key), func() error { answer, err = kv.KV.Put(ctx, key, value, options...); return err })
	return answer, err
}

func (kv watchedKV) Txn(ctx context.Context) clientv3.Txn {
	return &watchedTxn{Txn: kv.KV.Txn(ctx), moments: kv.moments}
}

type watchedTxn struct {
	clientv3.Txn
	*moments
	writes []string
}

func (t *watchedTxn) If(conditions ...clientv3.Cmp) clientv3.Txn { t.Txn.If(conditions...); return t }
func (t *watchedTxn) Else(ops ...clientv3.Op) clientv3.Txn       { t.Txn.Else(ops...); return t }
func (t *watchedTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	for _, op := range ops {
		if name := what(string(op.KeyBytes())); !op.IsGet() && !slices.Contains(t.writes, name) {
			t.writes = append(t.writes, name)
		}
	}
	t.Txn.Then(ops...)
	return t
}

func (t *watchedTxn) Commit() (answer *clientv3.TxnResponse, err error) {
	if len(t.writes) == 0 || slices.Equal(t.writes, []string{"alive"}) || slices.Equal(t.writes, []string{"synced"}) {
		return t.Txn.Commit()
	}
	err = t.around("transaction of "+strings.Join(t.writes, ", "), func() error { answer, err = t.Txn.Commit(); return err })
	return answer, err
}

// what is the part of the layout that a key belongs to.
func what(key string) string { return strings.Split(key, "/")[3] }

// watchedStore is the store, watched.
type watchedStore struct {
	Store
	*moments
}

func (w watchedStore) Advance(beyond change.Epoch) error {
	return w.around("a new epoch", func() error { return w.Store.Advance(beyond) })
}

func (w watchedStore) Mirror(m store.Mirror) error {
	return w.around("mirroring", func() error { return w.Store.Mirror(m) })
}

func (w watchedStore) Doubt(entries []store.Entry) error {
	return w.around("doubting entries", func() error { return w.Store.Doubt(entries) })
}

func (w watchedStore) Settle(pushed []store.Entry) error {
	return w.around("settling entries", func() error { return w.Store.Settle(pushed) })
}

func (w watchedStore) SetMeta(name string, value []byte) error {
	return w.around("noting "+name, func() error { return w.Store.SetMeta(name, value) })
}

func (w watchedStore) Commit(ctx context.Context, changes []change.Change) (rev change.Rev, err error) {
	err = w.around("a commit", func() error { rev, err = w.Store.Commit(ctx, changes); return err })
	return rev, err
}

// pusher ends once etcd has everything.
func pusher(args []string) error {
	at, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	m := &moments{at: at}
	sync := New(Config{Server: Server{Endpoints: []string{args[1]}}, Cluster: args[2], TTL: testTTL, Clock: daemon.Clock, Logger: zerolog.Nop()})
	sync.dial = func(server Server) (*clientv3.Client, error) {
		client, err := newClient(server)
		if err == nil {
			client.KV = watchedKV{client.KV, m}
		}
		return client, err
	}
	local, _, err := bolt.Open(bolt.Config{Dir: args[0], Schema: resource.Schema(), Sealed: resource.Sealed(), Replicator: sync, Follows: true,
		UserWrite: merge.UserWrite, Clock: daemon.Clock, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	if err := sync.Attach(watchedStore{local, m}, "id", Master{Name: "pusher"}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- sync.Run(context.Background()) }()
	own, err := newClient(Server{Endpoints: []string{args[1]}})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		left, err := local.Journal()
		if err != nil {
			return err
		}
		offered, err := own.Get(context.Background(), sync.layout.returned(), clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && sync.Status().State == Leading && len(left) == 0 && offered.Count == 0 {
			return nil
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Millisecond): // until it leads
		}
	}
	return errors.New("etcd has not got everything within 30 s: " + sync.Status().String())
}

// cutOffMaster is a directory whose master was killed with a journal, and what etcd has.
type cutOffMaster struct {
	e      *etcd
	dir    string
	held   map[string][]byte // below /skerry/test/, of which nothing ends by itself
	wanted map[string]string // objects that have to be there in the end: name to value
	lost   []string          // objects whose write has to be a conflict
}

// cutOff makes one: some objects are new, some changed and some deleted while etcd was away. rival says that another
// master has led and ended since, and changed some of them.
func cutOff(t *testing.T, rival bool) *cutOffMaster {
	t.Helper()
	c := &cutOffMaster{e: startEtcd(t, 1), wanted: map[string]string{}}
	keys, line := testKeys(t), newUplink(t, c.e.urls()[0])
	a := newMaster(t, "a", keys, line.url())
	a.start()
	a.wait(Leading)
	put := func(m *master, name, value string) {
		m.put(name, value)
		if value == "" {
			delete(c.wanted, name)
		} else {
			c.wanted[name] = value
		}
	}
	for i := range 60 {
		put(a, fmt.Sprint("old", i), "online")
	}
	line.set(true)
	a.put("first", "offline") // it waits for the answer that does not come
	a.wait(Away)
	c.wanted["first"] = "offline"
	// One that dies before can't know later that the first write did not arrive: it makes it a conflict.
	eventually(t, "a has noted what etcd has", func() error {
		if seen, err := a.store.Meta(metaSeen); err != nil || seen == nil {
			return fmt.Errorf("it has noted %q, %v", seen, err)
		}
		return nil
	})
	many := 30 // more than is pushed while writes wait
	if rival {
		many = 2 // each is handed over by itself
	}
	for i := range many {
		put(a, fmt.Sprint("old", i), "offline")
		put(a, fmt.Sprint("old", 30+i), "")
		put(a, fmt.Sprint("new", i), "offline")
	}
	c.dir = a.dir
	a.stop()
	if rival {
		b := newMaster(t, "b", keys, c.e.urls()...)
		b.start()
		b.wait(Leading)
		for _, name := range []string{"old0", "old30", "new0"} { // changed, deleted and made by both
			put(b, name, "of b")
			c.lost = append(c.lost, name)
		}
		b.stop()
	}
	c.held = c.e.dump("/skerry/test/")
	for key := range c.held {
		if part := what(key); part == "election" || part == "alive" {
			delete(c.held, key)
		}
	}
	return c
}

// copy makes the same of another name, in the same etcd.
func (c *cutOffMaster) copy(t *testing.T, cluster string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), cluster)
	if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
		t.Fatal(err)
	}
	client := c.e.client()
	var all []clientv3.Op
	for key, value := range c.held {
		all = append(all, clientv3.OpPut(strings.Replace(key, "/skerry/test/", "/skerry/"+cluster+"/", 1), string(value)))
	}
	for ops := range slices.Chunk(all, maxOps) {
		if _, err := client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a pusher, and returns the moments it has passed.
func (c *cutOffMaster) run(t *testing.T, dir, cluster string, at int) (passed []string, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", pusherEnv, dir, c.e.urls()[0], cluster, at))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%w: %s", err, &complaint)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), err
}

// A master is killed before and after each write into etcd and each change of its store by which etcd gets what was written while it
// was away, with nobody else there and after another master has led. Started again, it brings all of it: each write is in
// force, or lost against the other master's and kept, and nothing comes twice.
func TestKilledAtEveryMoment(t *testing.T) {
	t.Parallel()
	for name, rival := range map[string]bool{"alone": false, "another has led": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cutOff(t, rival)
			all, err := c.run(t, c.copy(t, "whole"), "whole", 0)
			if err != nil {
				t.Fatal(err)
			}
			c.check(t, "whole", filepath.Join(t.TempDir(), "nobody"), nil)
			dirs, killed := make([]string, len(all)), make([]string, len(all))
			for i := range dirs {
				dirs[i] = c.copy(t, fmt.Sprint("killed-", i+1))
			}
			var pushers sync.WaitGroup
			places := make(chan struct{}, 4)
			for i := range dirs {
				pushers.Add(1)
				go func() {
					defer pushers.Done()
					places <- struct{}{}
					defer func() { <-places }()
					passed, err := c.run(t, dirs[i], fmt.Sprint("killed-", i+1), i+1)
					if killed[i] = passed[len(passed)-1]; err == nil {
						killed[i] += " (it has ended)" // fewer moments than the first time: some of them depend on what comes first
					}
				}()
			}
			pushers.Wait()
			again := make([]*master, len(dirs))
			for i := range dirs {
				again[i] = c.master(t, fmt.Sprint("killed-", i+1), dirs[i])
				again[i].start()
			}
			for i := range dirs {
				c.check(t, fmt.Sprintf("killed at moment %d, %s", i+1, killed[i]), dirs[i], again[i])
			}
			t.Logf("killed at %d moments:\n%s", len(all), strings.Join(killed, "\n"))
		})
	}
}

// master is one on a copy.
func (c *cutOffMaster) master(t *testing.T, cluster, dir string) *master {
	m := newMaster(t, cluster, filepath.Join(c.dir, "secrets.key"), c.e.urls()...)
	m.dir, m.config.Cluster, m.config.Logger = dir, cluster, zerolog.Nop()
	return m
}

// check looks at what became of a copy whose master runs again; nil: an empty one is made.
func (c *cutOffMaster) check(t *testing.T, what, dir string, m *master) {
	t.Helper()
	if m == nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(c.dir, "secrets.key"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "secrets.key"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		m = c.master(t, what, dir)
		m.start()
	}
	prefix := "/skerry/" + m.config.Cluster + "/"
	var lost []string
	eventually(t, what+": all is there", func() error {
		if now := m.sync.Status(); now.State != Leading {
			return fmt.Errorf("it is %s", now)
		}
		if left := c.e.dump(prefix + "returned/"); len(left) > 0 {
			return fmt.Errorf("%d writes are on their way", len(left))
		}
		conflicts, err := m.sync.Conflicts(t.Context())
		lost = nil
		for _, each := range conflicts {
			lost = append(lost, each.Key.Name)
		}
		return err
	})
	slices.Sort(lost)
	expected := slices.Sorted(slices.Values(c.lost))
	if diff := cmp.Diff(expected, lost); diff != "" && len(expected)+len(lost) > 0 {
		t.Errorf("%s: conflicts (-want +got):\n%s", what, diff)
	}
	here := map[string]string{}
	for rec := range m.store.View().List(key("").Kind, "") {
		here[rec.Key.Name] = string(rec.Value)
	}
	if diff := cmp.Diff(c.wanted, here); diff != "" {
		t.Errorf("%s: the master (-want +got):\n%s", what, diff)
	}
	there := map[string]string{}
	for at, stored := range c.e.dump(prefix + "objects/") {
		k, err := newLayout(m.config.Cluster).parseObject(at)
		if err != nil {
			t.Fatal(err)
		}
		_, value, err := decodeObject(stored)
		if err != nil {
			t.Fatal(err)
		}
		if k.Kind == key("").Kind {
			there[k.Name] = string(value)
		}
	}
	if diff := cmp.Diff(c.wanted, there); diff != "" {
		t.Errorf("%s: etcd (-want +got):\n%s", what, diff)
	}
}
