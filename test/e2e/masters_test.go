package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/lab"
)

// masters is a fleet with an etcd and more than one master.
type masters struct {
	*fleet
	etcd []*member
	all  []*lab.Master // the first is the fleet's
}

// member is one of etcd's.
type member struct {
	*lab.Process
	*lab.Host
	lab     *lab.Lab
	program string
	args    []string
}

func (m *member) start() (err error) {
	m.Process, err = m.lab.Start(m.Host.Name, m.Host, m.program, m.args...)
	return err
}

// startEtcd starts an etcd of so many members, each on a host of its own. It returns their URLs.
func (f *masters) startEtcd(members int) (urls []string) {
	f.Helper()
	program, err := lab.EtcdProgram()
	if err != nil {
		f.Fatal("etcd is not installed: apt-get install etcd-server")
	}
	var peers []string
	for i := range members {
		host := f.host(fmt.Sprint("etcd-", i+1))
		f.etcd = append(f.etcd, &member{Host: host, lab: f.lab, program: program})
		urls = append(urls, "http://"+host.Address+":2379")
		peers = append(peers, host.Name+"=http://"+host.Address+":2380")
	}
	for i, m := range f.etcd {
		peer := "http://" + m.Address + ":2380"
		m.args = []string{"--name", m.Host.Name, "--data-dir", filepath.Join(f.lab.Dir, m.Host.Name), "--log-level", "error",
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(peers, ","),
			"--listen-client-urls", urls[i], "--advertise-client-urls", urls[i]}
		if err := m.start(); err != nil {
			f.Fatal(err)
		}
	}
	return urls
}

// newMasters starts an etcd of one member, two masters with their embedded brokers, and count nodes.
func newMasters(t *testing.T, count int, args ...string) *masters {
	t.Helper()
	return newMastersOf(t, 1, count, args...)
}

// newMastersOf is newMasters with an etcd of so many members.
func newMastersOf(t *testing.T, members, count int, args ...string) *masters {
	t.Helper()
	f := &masters{fleet: &fleet{T: t, lab: newLab(t)}}
	flags := append([]string{"--etcd", strings.Join(f.startEtcd(members), ",")}, args...)
	f.startMaster(flags...)
	f.all = []*lab.Master{f.master}
	host := f.host("second")
	second, err := f.lab.StartMaster(host, append(flags, "--join-masters", "@"+f.masterToken())...)
	if err != nil {
		t.Fatal(err)
	}
	f.all = append(f.all, second)
	for _, m := range f.all {
		f.until("both masters are there", func() (bool, string) {
			list, err := mastersOf(m)
			return err == nil && len(list.Items) == 2, fmt.Sprint(list, err)
		})
	}
	f.token = f.newToken("--uses", "0") // it names the brokers of both
	for range count {
		f.addNode()
	}
	f.waitReady(count)
	return f
}

// masterToken makes a join token for another master, and returns its file.
func (f *masters) masterToken() (file string) {
	f.Helper()
	f.until("the master has a kubeconfig", func() (bool, string) {
		out, err := f.master.Kubectl("get", "namespaces")
		return err == nil, seen(out, err)
	})
	file = filepath.Join(f.TempDir(), "token")
	if err := os.WriteFile(file, []byte(f.kubectl("token", "create", "--for-master", "-o", "token")), 0o600); err != nil {
		f.Fatal(err)
	}
	return file
}

type masterList struct {
	Epoch, Etcd string
	Items       []struct {
		API, Role   string
		Alive, Self bool
	}
}

// mastersOf is what a master says of all of them.
func mastersOf(m *lab.Master) (list masterList, err error) {
	out, err := m.Kubectl("get", "--raw", "/apis/skerry.dev/v1/masters")
	if err == nil {
		err = json.Unmarshal([]byte(out), &list)
	}
	return list, err
}

func (f *masters) untilLeads(m *lab.Master) time.Duration {
	f.Helper()
	return f.until("another master leads", func() (bool, string) {
		list, err := mastersOf(m)
		for _, each := range list.Items {
			if each.Self && each.Role == "leader" {
				return true, ""
			}
		}
		return false, fmt.Sprint(list, err)
	})
}

// The leader is killed. The other master takes over within the lease and two seconds, has everything, and the nodes,
// whose broker died with the leader, come over to its own; no container is touched. The old one follows when it is back.
func TestLeaderIsKilled(t *testing.T) {
	f := newMasters(t, 2)
	first, second := f.all[0], f.all[1]
	node := f.run("steady", "sleep")
	before := f.started("steady")
	// What is asked of a follower the leader answers, logs and all.
	if out, err := second.Kubectl("create", "configmap", "through-the-follower", "--from-literal=a=b"); err != nil {
		t.Fatal(out, err)
	}
	f.until("the follower has it, too", func() (bool, string) {
		out, err := second.Kubectl("get", "configmap", "through-the-follower", "-o", "jsonpath={.data.a}")
		return err == nil && out == "b", seen(out, err)
	})
	if out, err := second.Kubectl("exec", "steady", "--", "/probe", "version"); err != nil && !strings.Contains(err.Error(), "exit code") {
		t.Errorf("exec through the follower: %s %v", out, err)
	}
	if out, err := second.Kubectl("logs", "steady"); err != nil {
		t.Errorf("logs through the follower: %s %v", out, err)
	}

	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	took := f.untilLeads(second)
	t.Logf("another master leads after %s", took.Round(time.Millisecond))
	if took > 12*time.Second {
		t.Errorf("another master leads only after %s", took)
	}
	f.master = second
	began := time.Now()
	f.waitReady(2)
	f.kubectl("run", "later", "--image="+probe, "--overrides", `{"spec":{"nodeName":"`+node+`"}}`, "--", "sleep")
	f.untilRunning("later")
	t.Logf("the nodes have come over %s later", time.Since(began).Round(time.Millisecond))
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}

	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the first master follows", func() (bool, string) {
		out, err := first.Kubectl("get", "pod", "later", "-o", "jsonpath={.status.phase}")
		return err == nil && out == "Running", seen(out, err)
	})
	if list, err := mastersOf(first); err != nil || !strings.HasPrefix(list.Etcd, "follower") {
		t.Errorf("it says %+v, %v", list, err)
	}
	// And back again: the nodes know both brokers.
	if _, err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	f.master = first
	t.Logf("after a clean end another master leads within %s", f.untilLeads(first).Round(time.Millisecond))
	f.kubectl("run", "last", "--image="+probe, "--", "sleep")
	f.untilRunning("last")
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
}

// The line to etcd is down: the site goes on, and etcd gets everything when it is back. A machine with nothing but the
// keys then restores the cluster from etcd.
func TestEtcdIsCutOff(t *testing.T) {
	f := newMasters(t, 1)
	first, second := f.all[0], f.all[1]
	if _, err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	f.run("steady", "sleep")
	before := f.started("steady")
	if err := f.etcd[0].Cut(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	f.kubectl("run", "alone", "--image="+probe, "--", "sleep")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a write without etcd took %s", took)
	}
	f.untilRunning("alone")
	f.until("people are told", func() (bool, string) {
		out, err := first.Kubectl("get", "events", "-A")
		return strings.Contains(out, "EtcdAway"), seen(out, err)
	})
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(1)
	f.kubectl("create", "configmap", "offline", "--from-literal=a=b")
	if err := f.etcd[0].Heal(); err != nil {
		t.Fatal(err)
	}
	f.until("etcd has everything", func() (bool, string) {
		list, err := mastersOf(first)
		return strings.HasPrefix(list.Etcd, "leading"), fmt.Sprint(list.Etcd, err)
	})
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}

	// Fire: nothing is left of the first master but its keys, with the second one.
	if err := errors.Join(first.Kill(), os.RemoveAll(first.DataDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(second.DataDir, "state.db")); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	f.master = second
	f.until("everything is there", func() (bool, string) {
		out, err := second.Kubectl("get", "configmap", "offline", "-o", "jsonpath={.data.a}")
		return err == nil && out == "b", seen(out, err)
	})
	f.waitReady(1)
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
}
