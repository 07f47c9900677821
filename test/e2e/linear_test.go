package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/test/lab"
)

const (
	linearClients   = 6
	linearRegisters = 4
	mapsPath        = "/api/v1/namespaces/default/configmaps"
)

// traffic is what clients do through all masters at once: they write and read a few registers, and make objects that
// nobody else makes. An answer of a master that has etcd is a promise; one that is "away" acknowledges for its site alone.
type traffic struct {
	masters   []*lab.API
	registers *lab.Registers
	stop      chan struct{}
	clients   sync.WaitGroup

	mu      sync.Mutex
	online  map[string]bool // made, and acknowledged by a master that had etcd
	offline map[string]bool // made, and acknowledged by one that had not
	kept    int             // operations whose answer was a promise
}

func (f *masters) startTraffic() *traffic {
	f.Helper()
	tr := &traffic{registers: lab.NewRegisters(), stop: make(chan struct{}), online: map[string]bool{}, offline: map[string]bool{}}
	for _, m := range f.all {
		api, err := m.API()
		if err != nil {
			f.Fatal(err)
		}
		tr.masters = append(tr.masters, api.Within(time.Second)) // or those who ask a frozen master do nothing else
	}
	for i := range linearRegisters {
		if answer, err := tr.masters[0].Do(http.MethodPost, mapsPath, configMap(fmt.Sprint("r", i), "")); err != nil || answer.Code != http.StatusCreated {
			f.Fatal(answer, err)
		}
	}
	for client := range linearClients {
		tr.clients.Add(1)
		go func() { defer tr.clients.Done(); tr.drive(client) }()
	}
	return tr
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		Data: map[string]string{"value": value}}
}

// drive is one client.
func (tr *traffic) drive(client int) {
	chance := rand.New(rand.NewPCG(uint64(client), 11))
	for n := 0; ; n++ {
		pause := 20 * time.Millisecond // six clients would otherwise need more of the machine than what they test
		if tr.operate(client, n, chance) {
			tr.mu.Lock()
			tr.kept++
			tr.mu.Unlock()
		} else {
			pause = 200 * time.Millisecond
		}
		select {
		case <-tr.stop:
			return
		case <-time.After(pause):
		}
	}
}

// operate does one thing, and reports whether the answer is a promise.
func (tr *traffic) operate(client, n int, chance *rand.Rand) (promised bool) {
	api := tr.masters[chance.IntN(len(tr.masters))]
	name := fmt.Sprint("r", chance.IntN(linearRegisters))
	value := fmt.Sprint(client, ".", n)
	called := tr.registers.Now()
	switch chance.IntN(5) {
	case 0, 1:
		answer, err := api.Do(http.MethodGet, mapsPath+"/"+name, nil)
		var found corev1.ConfigMap
		if err != nil || answer.Code != http.StatusOK || !promises(answer, true) || json.Unmarshal(answer.Body, &found) != nil {
			return false
		}
		tr.registers.Read(client, called, name, found.Data["value"])
		return true
	case 2, 3:
		answer, err := api.Do(http.MethodPut, mapsPath+"/"+name, configMap(name, value))
		sure := err == nil && answer.Code == http.StatusOK && promises(answer, false)
		tr.registers.Wrote(client, called, name, value, sure)
		return sure
	}
	own := fmt.Sprint("own-", client, "-", n)
	answer, err := api.Do(http.MethodPost, mapsPath, configMap(own, value))
	if err != nil || answer.Code != http.StatusCreated {
		return false
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !promises(answer, false) {
		tr.offline[own] = true
		return false
	}
	tr.online[own] = true
	return true
}

// promises reports whether an answer holds for all masters.
func promises(answer lab.Answer, read bool) bool {
	standing := answer.Header.Get("Skerry-Etcd")
	return (standing == "leading" || read && standing == "following") && answer.Header.Get("Warning") == ""
}

// goesOn waits until clients have been promised some things more.
func (f *masters) goesOn(tr *traffic) {
	f.Helper()
	f.until("writes and reads are promised", moreThan(tr.promised, 100))
}

func (tr *traffic) promised() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.kept
}

func (tr *traffic) alone() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.offline)
}

func moreThan(count func() int, more int) func() (bool, string) {
	before := count()
	return func() (bool, string) {
		now := count()
		return now >= before+more, fmt.Sprintf("%d of %d", now-before, more)
	}
}

// leaderOf is the index of the master that leads, as it says itself, and that has etcd.
func (f *masters) leaderOf() (leader int) {
	f.Helper()
	f.until("a master leads, and another follows", func() (bool, string) {
		said := []string{}
		leader = -1
		for i, m := range f.all {
			list, err := mastersOf(m)
			said = append(said, fmt.Sprint(list.Etcd, err))
			if strings.HasPrefix(list.Etcd, "leading") {
				leader = i
			} else if !strings.HasPrefix(list.Etcd, "follower") || strings.Contains(list.Etcd, "away") {
				return false, strings.Join(said, "; ")
			}
		}
		return leader >= 0, strings.Join(said, "; ")
	})
	return leader
}

// Clients write and read through two masters at once, while masters are killed, frozen and cut off, and members of etcd
// killed and cut off. What a master with etcd answers is linearizable over all of it: no acknowledged write is lost, none shows and
// vanishes again, and no read is older than what was acknowledged before, whoever is asked. What a master without etcd has acknowledged
// is there in the end, or among the conflicts.
func TestAPIIsLinearizable(t *testing.T) {
	t.Parallel()
	f := newMastersOf(t, 3, 0)
	do := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	tr := f.startTraffic()
	leads := func(i int) { f.untilLeads(f.all[i]) }

	leader := f.leaderOf()
	f.goesOn(tr)
	t.Log("the leader is killed")
	do(f.all[leader].Kill())
	leads(1 - leader)
	f.goesOn(tr)
	do(f.all[leader].Start())

	leader = f.leaderOf()
	t.Log("a member of etcd is killed")
	do(f.etcd[0].Kill())
	f.goesOn(tr)
	do(f.etcd[0].start())
	f.goesOn(tr)

	t.Log("the leader is cut off")
	do(f.all[leader].Host.Cut())
	leads(1 - leader)
	f.goesOn(tr)
	f.until("the other one acknowledges for itself", moreThan(tr.alone, 5))
	do(f.all[leader].Host.Heal())

	leader = f.leaderOf()
	t.Log("the leader is frozen, and a member of etcd is killed")
	do(f.all[leader].Freeze(), f.etcd[1].Kill())
	leads(1 - leader)
	f.goesOn(tr)
	do(f.all[leader].Thaw(), f.etcd[1].start())

	leader = f.leaderOf()
	t.Log("the follower and a member of etcd are cut off")
	do(f.all[1-leader].Host.Cut(), f.etcd[2].Cut())
	f.goesOn(tr)
	do(f.all[1-leader].Host.Heal(), f.etcd[2].Heal())

	f.leaderOf()
	t.Log("two members of etcd are killed")
	do(f.etcd[0].Kill(), f.etcd[1].Kill())
	f.until("the leader goes on", moreThan(tr.alone, 20))
	do(f.etcd[0].start(), f.etcd[1].start())
	f.leaderOf()
	f.goesOn(tr)

	close(tr.stop)
	tr.clients.Wait()
	f.settled(tr)
}

// settled checks what has become of all that was acknowledged, and what each master shows.
func (f *masters) settled(tr *traffic) {
	f.Helper()
	var kept struct{ Items []struct{ Name string } }
	if err := tr.masters[0].Get("/apis/skerry.dev/v1/conflicts", &kept); err != nil {
		f.Fatal(err)
	}
	conflicts := map[string]bool{}
	for _, c := range kept.Items {
		conflicts[c.Name] = true
	}
	for i, api := range tr.masters {
		called := tr.registers.Now()
		var all corev1.ConfigMapList
		if err := api.Get(mapsPath, &all); err != nil {
			f.Fatal(err)
		}
		there := map[string]bool{}
		for _, m := range all.Items {
			there[m.Name] = true
			if strings.HasPrefix(m.Name, "r") {
				tr.registers.Read(linearClients+i, called, m.Name, m.Data["value"])
			}
		}
		lost, lostAlone := 0, 0
		for name := range tr.online {
			if !there[name] {
				lost++
				f.Errorf("%s was acknowledged by a master with etcd, and master %d does not show it", name, i+1)
			}
		}
		for name := range tr.offline {
			if !there[name] && !conflicts[name] {
				lostAlone++
				f.Errorf("%s was acknowledged by a master without etcd, and is neither with master %d nor among the conflicts", name, i+1)
			}
		}
		f.Logf("master %d: of %d objects made with etcd %d are lost, of %d made without etcd %d", i+1, len(tr.online), lost, len(tr.offline), lostAlone)
	}
	if err := tr.registers.Check(); err != nil {
		f.Error(err)
	}
	f.Logf("%d writes and reads of registers", tr.registers.Len())
}
