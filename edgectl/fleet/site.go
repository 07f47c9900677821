package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Site is one cluster as etcd has it.
type Site struct {
	Name    string   `json:"name"`
	Leader  string   `json:"leader,omitempty"` // host of the master that leads; empty: none does, as far as etcd knows
	Term    uint32   `json:"term"`             // newest, of the epoch
	Masters []Master `json:"masters"`
	Nodes   Count    `json:"nodes"` // those that are Ready
	Pods    Count    `json:"pods"`  // those that run
	// Synced is when a leader has last said that etcd has everything, by its clock; zero: never.
	Synced  time.Time `json:"synced,omitzero"`
	Problem string    `json:"problem,omitempty"` // what could not be read
}

// Master is one of a site's.
type Master struct {
	Name    string `json:"name"`
	API     string `json:"api"`
	Version string `json:"version"`
	Alive   bool   `json:"alive"` // it has reached etcd within the last lease
	Leads   bool   `json:"leads"`
}

// Count is how many of all are as they should be.
type Count struct {
	Good int `json:"good"`
	All  int `json:"all"`
}

// The layout in etcd, below /skerry/<cluster>/; master/etcdsync draws it.
const (
	root       = "/skerry/"
	keyMeta    = "meta"
	keyLeader  = "election"
	keyTerm    = "epoch"
	keySynced  = "synced"
	dirMasters = "masters/"
	dirAlive   = "alive/"
	dirNodes   = "objects/nodes/"
	dirPods    = "objects/pods/"

	revSize = 8 // in front of an object's encoding
)

// parts are the places that are read of a site; the last byte says whether all below is meant.
var parts = []string{keyMeta, keyLeader, keyTerm, keySynced, dirMasters, dirAlive, dirNodes, dirPods}

// summary adds up what comes of one site, key by key.
type summary struct {
	site    Site
	cluster bool
	ids     []string // of site.Masters
	leader  string   // id
	alive   map[string]bool
}

func newSummary(name string) *summary {
	return &summary{site: Site{Name: name, Masters: []Master{}}, alive: map[string]bool{}}
}

// add takes one key, without the site's prefix.
func (s *summary) add(key string, value []byte) {
	var err error
	dir, rest := key, ""
	for _, d := range []string{dirMasters, dirAlive, dirNodes, dirPods} {
		if below, ok := strings.CutPrefix(key, d); ok {
			dir, rest = d, below
		}
	}
	switch dir {
	case keyMeta:
		s.cluster = true
	case keyLeader:
		var l struct{ ID, Name string }
		err = json.Unmarshal(value, &l)
		s.leader, s.site.Leader = l.ID, l.Name
	case keyTerm:
		err = json.Unmarshal(value, &struct{ Term *uint32 }{&s.site.Term})
	case keySynced:
		err = json.Unmarshal(value, &struct{ Time *time.Time }{&s.site.Synced})
	case dirMasters:
		var m Master
		if err = json.Unmarshal(value, &m); err == nil {
			m.Alive, m.Leads = false, false
			s.ids, s.site.Masters = append(s.ids, rest), append(s.site.Masters, m)
		}
	case dirAlive:
		s.alive[rest] = true
	case dirNodes:
		err = s.addNode(value)
	case dirPods:
		err = s.addPod(value)
	}
	if err != nil && s.site.Problem == "" {
		s.site.Problem = "what is under " + key + " can't be read; is the site's skerry-master newer than this program?"
	}
}

var errShort = errors.New("it is too short")

func (s *summary) addNode(value []byte) error {
	var n corev1.Node
	if len(value) < revSize {
		return errShort
	}
	if err := n.Unmarshal(value[revSize:]); err != nil {
		return err
	}
	s.site.Nodes.All++
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			s.site.Nodes.Good++
		}
	}
	return nil
}

func (s *summary) addPod(value []byte) error {
	var p corev1.Pod
	if len(value) < revSize {
		return errShort
	}
	if err := p.Unmarshal(value[revSize:]); err != nil {
		return err
	}
	s.site.Pods.All++
	if p.Status.Phase == corev1.PodRunning {
		s.site.Pods.Good++
	}
	return nil
}

// done is the site; ok is false when the keys are of no cluster.
func (s *summary) done() (site Site, ok bool) {
	for i, id := range s.ids {
		m := &s.site.Masters[i]
		m.Alive = s.alive[id]
		m.Leads = s.leader != "" && id == s.leader
	}
	return s.site, s.cluster
}
