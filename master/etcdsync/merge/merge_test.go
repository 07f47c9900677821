package merge

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

func rev(term uint32, n int) change.Rev { return change.Epoch{Term: term}.First() + change.Rev(n) }

// What a master does with its state when it meets etcd.
func TestMeet(t *testing.T) {
	t.Parallel()
	none := Side{Empty: true}
	at := func(term uint32, n int) Side { return Side{Term: term, Rev: rev(term, n)} }
	for _, c := range []struct {
		situation string
		own, etcd Side
		journal   bool
		want      Start
	}{
		{"the first start of all", none, none, false, Create},
		{"an empty directory", none, at(3, 7), false, Load},
		{"etcd was added later, or wiped", at(0, 7), none, false, Refill},
		{"the same, cut off before", at(2, 7), none, true, Refill},
		{"a follower that was off", at(2, 7), at(2, 9), false, Load},
		{"a follower that missed a term", at(2, 7), at(3, 0), false, Load},
		{"a leader that has stopped well", at(2, 7), at(2, 7), false, Load},
		{"a leader that was cut off", at(2, 9), at(2, 7), true, Resume},
		{"the same, and all was pushed but one answer lost", at(2, 9), at(2, 9), true, Resume},
		{"a leader that was cut off while another led", at(2, 9), at(3, 1), true, Load},
		{"etcd was restored from a backup of this term", at(2, 9), at(2, 5), false, Refill},
		{"etcd was restored from a backup of an earlier term", at(2, 9), at(1, 30), false, Refill},
		{"this directory was restored from a backup", at(1, 9), at(2, 5), false, Load},
	} {
		if got := Meet(c.own, c.etcd, c.journal); got != c.want {
			t.Errorf("%s: %s, want %s", c.situation, got, c.want)
		}
	}
}

// What becomes of one write.
func TestJudge(t *testing.T) {
	t.Parallel()
	write := func(value string, replaced, newest change.Rev, user bool) Write {
		w := Write{Entry: store.Entry{Replaced: replaced, Newest: newest, User: user}}
		if value != "" {
			w.Value = []byte(value)
		}
		return w
	}
	held := func(value string, at change.Rev) change.Record { return change.Record{Rev: at, Value: []byte(value)} }
	nothing := change.Record{}
	for _, c := range []struct {
		situation string
		write     Write
		held      change.Record
		term      uint32
		want      string
	}{
		{"alone, changed", write("b", rev(1, 2), rev(1, 5), false), held("a", rev(1, 2)), 1, "push: no other master has led"},
		{"alone, created", write("b", 0, rev(1, 5), false), nothing, 1, "push: no other master has led"},
		{"alone, deleted", write("", rev(1, 2), rev(1, 5), false), held("a", rev(1, 2)), 1, "push: no other master has led"},
		{"alone, created and deleted", write("", 0, rev(1, 5), true), nothing, 1, "drop: it is deleted there too"},
		{"an answer was lost", write("b", rev(1, 2), rev(1, 5), true), held("b", rev(1, 5)), 1, "drop: etcd has it"},
		{"the same, another leads now", write("b", rev(1, 2), rev(1, 5), true), held("b", rev(1, 5)), 2, "drop: etcd has it"},
		{"half of it got there", write("c", rev(1, 2), rev(1, 6), true), held("b", rev(1, 5)), 1, "push: no other master has led"},
		{"half of it got there, then another led", write("c", rev(1, 2), rev(1, 6), true), held("b", rev(1, 5)), 2, "push: what is there is this master's own"},
		{"another led and left it alone", write("b", rev(1, 2), rev(1, 5), true), held("a", rev(1, 2)), 2, "push: nobody has written it since"},
		{"another led, created here", write("b", 0, rev(1, 5), true), nothing, 2, "push: nobody has written it since"},
		{"another led and wrote it", write("b", rev(1, 2), rev(1, 5), true), held("z", rev(2, 1)), 2, "conflict: another master has written it since"},
		{"another led and wrote the same", write("b", rev(1, 2), rev(1, 5), true), held("b", rev(2, 1)), 2, "drop: the other master has written the same"},
		{"both created it", write("b", 0, rev(1, 5), true), held("z", rev(2, 1)), 2, "conflict: another master has written it since"},
		{"another led and deleted it", write("b", rev(1, 2), rev(1, 5), true), nothing, 2, "conflict: another master has deleted it since"},
		{"created here, it may have got there", Write{store.Entry{Newest: rev(1, 5), User: true, Unsure: true}, []byte("b")}, nothing, 2, "conflict: another master may have deleted it since"},
		{"both deleted it", write("", rev(1, 2), rev(1, 5), true), nothing, 2, "drop: it is deleted there too"},
		{"deleted here, written there", write("", rev(1, 2), rev(1, 5), true), held("z", rev(2, 1)), 2, "conflict: another master has written it since"},
		{"a status, another led", write("b", rev(1, 2), rev(1, 5), false), held("a", rev(1, 2)), 2, "drop: it was nobody's will, and the present leader decides anew"},
		{"a status that lost", write("b", rev(1, 2), rev(1, 5), false), held("z", rev(2, 1)), 2, "drop: it was nobody's will, and the present leader decides anew"},
	} {
		v := Judge(c.write, c.held, c.term)
		if got := string(v.Action) + ": " + v.Reason; got != c.want {
			t.Errorf("%s: %s, want %s", c.situation, got, c.want)
		}
	}
}

// Statuses, events and what a controller owns are nobody's will; in doubt a write is somebody's.
func TestUserWrite(t *testing.T) {
	t.Parallel()
	encode := func(o resource.Object) []byte {
		value, err := resource.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	yes := true
	pod := func(owner bool, node string, phase corev1.PodPhase) []byte {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"}}
		if owner {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "r", UID: "u", Controller: &yes}}
		}
		p.Spec.NodeName, p.Status.Phase = node, phase
		return encode(p)
	}
	deployment := func(replicas, ready int32) []byte {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", Namespace: "default"}}
		d.Spec.Replicas, d.Status.ReadyReplicas = &replicas, ready
		return encode(d)
	}
	for _, c := range []struct {
		write    string
		kind     change.Kind
		old, new []byte
		want     bool
	}{
		{"a pod's status", resource.Pods.Kind, pod(false, "a", "Pending"), pod(false, "a", "Running"), false},
		{"a bare pod", resource.Pods.Kind, nil, pod(false, "", "Pending"), true},
		{"a bare pod's end", resource.Pods.Kind, pod(false, "", "Pending"), nil, true},
		{"a replica", resource.Pods.Kind, nil, pod(true, "", "Pending"), false},
		{"a replica's end", resource.Pods.Kind, pod(true, "", "Pending"), nil, false},
		{"scaling", resource.Deployments.Kind, deployment(1, 1), deployment(2, 1), true},
		{"a deployment's status", resource.Deployments.Kind, deployment(1, 1), deployment(1, 0), false},
		{"an event", resource.Events.Kind, nil, encode(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}}), false},
		{"a node's key", resource.NodeKeyKind, nil, []byte{1}, true},
		{"something that is no object", resource.Deployments.Kind, []byte{0xff}, []byte{0xfe}, true},
	} {
		e := change.Event{Key: change.Key{Kind: c.kind, Name: "x"}}
		e.Old.Value, e.New.Value = c.old, c.new
		if got := UserWrite(e); got != c.want {
			t.Errorf("%s: %t", c.write, got)
		}
	}
}

// model is one object: as etcd has it, as a master has it that is cut off, and that master's journal of it.
type model struct {
	etcd, own change.Record
	journal   *store.Entry
	n         int
	lost      []string // values of conflicts
}

func (m *model) next(term uint32) change.Rev { m.n++; return rev(term, m.n) }

// steps of a history: what may happen to the object, by the master that is cut off (term 1) and by the other (term 2).
var steps = map[string]func(*model){
	"A user writes":                    func(m *model) { m.write("A"+fmt.Sprint(m.n), true) },
	"A status":                         func(m *model) { m.write("s"+fmt.Sprint(m.n), false) },
	"A deletes":                        func(m *model) { m.write("", true) },
	"A pushes":                         func(m *model) { m.push(true) },
	"A pushes, and the answer is lost": func(m *model) { m.push(false) },
	"B writes":                         func(m *model) { m.etcd = change.Record{Rev: m.next(2), Value: []byte("B" + fmt.Sprint(m.n))} },
	"B deletes":                        func(m *model) { m.etcd = change.Record{} },
}

func (m *model) write(value string, user bool) {
	if value == "" && !m.own.Exists() || !user && !m.own.Exists() {
		return
	}
	e := store.Entry{Replaced: m.own.Rev}
	if m.journal != nil {
		e = *m.journal
	}
	e.Newest, e.User = m.next(1), e.User || user
	m.journal = &e
	m.own = change.Record{Rev: e.Newest}
	if value != "" {
		m.own.Value = []byte(value)
	}
	if value == "" {
		m.own = change.Record{}
	}
}

// push is what a leader does that nobody has followed.
func (m *model) push(answered bool) {
	if m.journal == nil {
		return
	}
	m.journal.Unsure = true // noted before it is sent
	if Judge(Write{*m.journal, m.own.Value}, m.etcd, 0).Action == Push {
		m.etcd = m.own
	}
	if answered {
		m.journal = nil
	}
}

// In every history of up to five steps, in which at some moment the other master begins to lead, no write of the other
// is lost, no will of a user vanishes without a trace, and nothing else becomes a conflict.
func TestModel(t *testing.T) {
	t.Parallel()
	var alone, both []string
	for name := range steps {
		if !strings.HasPrefix(name, "B") {
			alone = append(alone, name)
		}
		if !strings.Contains(name, "push") {
			both = append(both, name) // a master that another follows pushes nothing
		}
	}
	count := 0
	var explore func(history []string, led bool, depth int)
	explore = func(history []string, led bool, depth int) {
		count++
		check(t, history)
		if depth == 0 {
			return
		}
		if !led {
			for _, s := range alone {
				explore(append(history[:len(history):len(history)], s), false, depth-1)
			}
			explore(append(history[:len(history):len(history)], "B leads"), true, depth-1)
			return
		}
		for _, s := range both {
			explore(append(history[:len(history):len(history)], s), true, depth-1)
		}
	}
	explore(nil, false, 5)
	t.Logf("%d histories", count)
}

func check(t *testing.T, history []string) {
	for _, there := range []bool{true, false} {
		m := &model{n: 1}
		if there {
			m.etcd = change.Record{Rev: rev(1, 1), Value: []byte("first")}
			m.own = m.etcd
		}
		led, others, before := false, false, m.etcd
		for _, s := range history {
			if s == "B leads" {
				led, before = true, m.etcd
				continue
			}
			steps[s](m)
			others = others || led && strings.HasPrefix(s, "B")
		}
		want, user := string(m.own.Value), m.journal != nil && m.journal.User
		by := m.etcd
		if !led {
			m.push(true)
			if string(m.etcd.Value) != want {
				t.Fatalf("%v: etcd has %q, the master %q", history, m.etcd.Value, want)
			}
			continue
		}
		touched := others && (by.Rev != before.Rev || by.Exists() != before.Exists())
		if m.journal != nil {
			v := Judge(Write{*m.journal, m.own.Value}, m.etcd, 2)
			switch v.Action {
			case Push:
				m.etcd = change.Record{Rev: m.next(2), Value: m.own.Value}
			case Conflict:
				m.lost = append(m.lost, want)
			}
		}
		switch {
		case touched && string(m.etcd.Value) != string(by.Value):
			t.Fatalf("%v: the other's %q is lost, etcd has %q", history, by.Value, m.etcd.Value)
		case user && string(m.etcd.Value) != want && len(m.lost) == 0:
			t.Fatalf("%v: %q is neither in etcd, which has %q, nor a conflict", history, want, m.etcd.Value)
		case !user && len(m.lost) > 0:
			t.Fatalf("%v: what nobody wanted is a conflict: %q", history, m.lost)
		case len(m.lost) > 0 && string(m.etcd.Value) == want && (want != "" || !m.etcd.Exists()):
			t.Fatalf("%v: a conflict over what is there: %q", history, m.lost)
		}
	}
}
