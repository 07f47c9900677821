package reconcile_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// single is a pod of which there must be one at most. It ends as soon as it is told to.
func single(name string) *corev1.Pod {
	p := newPod(name, "trap", "0", "0s")
	p.Spec.NodeName = "board"
	p.Annotations = map[string]string{shared.PartitionPolicy: shared.PolicyStop, shared.AnnotationScheduled: "true"}
	return p
}

// pinned is one that runs on this node alone.
func pinned(name string) *corev1.Pod {
	p := single(name)
	delete(p.Annotations, shared.AnnotationScheduled)
	return p
}

// grant permits pods for 40 s from now.
func (b *board) grant(pods ...*corev1.Pod) *board {
	g := message.Grant{Ask: uint64(b.now.Boot.Milliseconds()), Millis: 40_000}
	for _, p := range pods {
		if shared.Pinned(p) {
			g.Bound = append(g.Bound, string(p.UID))
		} else {
			g.Pods = append(g.Pods, string(p.UID))
		}
	}
	b.agent.Grant(g)
	return b
}

// runs checks which pods have a process, as "db web".
func (b *board) runs(want string) *board {
	b.t.Helper()
	var got []string
	for _, c := range b.engine.Containers() {
		if c.State == engine.Running {
			got = append(got, c.Labels[engine.LabelPod])
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, " "); text != want {
		b.t.Errorf("at %s %q runs, want %q", b.now.Boot, text, want)
	}
	return b
}

func (b *board) asks(want bool) *board {
	b.t.Helper()
	if asks, _ := b.agent.Permits(); asks != want {
		b.t.Errorf("asks for a permit: %v, want %v", asks, want)
	}
	return b
}

func (b *board) armed() (time.Duration, bool) {
	b.t.Helper()
	deadline, armed, err := b.engine.Guard().Armed(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return deadline, armed
}

// A single pod waits for a permit, with the guard armed before it starts, and ends with it.
func TestASinglePodRunsWhilePermitted(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.asks(false)
	b.desire(db, newPod("web")).pass(time.Minute).asks(true).runs("web").shows("db=WaitingForPermit web=Running")
	granted := b.now.Boot
	b.grant(db).pass(time.Second).runs("db web").shows("db=Running web=Running")
	if deadline, armed := b.armed(); !armed || deadline != granted.Truncate(time.Millisecond)+40*time.Second {
		t.Errorf("the guard is armed: %v, for %s", armed, deadline)
	}
	b.pass(28 * time.Second).runs("db web")
	b.pass(2 * time.Second).runs("web") // told to end a quarter of the permit before its end
	b.shows("db=WaitingForPermit web=Running")
	b.pass(time.Minute).runs("web")
	b.grant(db).pass(time.Second).runs("db web").shows("db=Running web=Running")
	if st := b.statuses()["db"].ContainerStatuses[0]; st.RestartCount != 1 {
		t.Errorf("%d restarts", st.RestartCount)
	}
}

// A container that does not end when told to is killed by the permit's end.
func TestAPermitEndsInAnyCase(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	db.Spec.Containers[0].Args = []string{"ignore"}
	b.desire(db).pass(time.Second).grant(db).pass(time.Second).runs("db")
	b.pass(38 * time.Second).runs("db").pass(time.Second).runs("")
}

// A pod runs on while its permit is renewed; another grant that does not name it ends it at once.
func TestRenewalAndLoss(t *testing.T) {
	b := newBoard(t, nil)
	db, other := single("db"), single("other")
	b.desire(db, other).pass(time.Second)
	for range 30 {
		b.grant(db).pass(10 * time.Second).runs("db")
	}
	b.grant(other).pass(time.Second).runs("other").shows("db=WaitingForPermit other=Running")
}

// The agent is not there, or does not act: the guard ends what it guards at the deadline, and what appears later.
func TestWithoutAnAgent(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.desire(db, newPod("web")).pass(time.Second).grant(db).pass(time.Second).runs("db web")
	b.now = b.now.Add(38 * time.Second)
	b.runs("db web")
	b.now = b.now.Add(time.Second)
	b.runs("web")
	b.pass(0).runs("web") // it wakes up
}

// After a restart of the agent what runs goes on until the guard's deadline; nothing is started before a grant.
func TestAnAgentRestartInheritsThePermit(t *testing.T) {
	b := newBoard(t, nil)
	db, other := single("db"), single("other")
	b.desire(db, other).pass(time.Second).grant(db).pass(10 * time.Second).runs("db")
	b.startAgent()
	b.pass(10 * time.Second).runs("db").asks(true)
	b.grant(db, other).pass(time.Second).runs("db other")
	b.startAgent()
	b.pass(41 * time.Second).runs("")
	if st := b.statuses()["db"].ContainerStatuses[0]; st.RestartCount != 0 {
		t.Errorf("%d restarts", st.RestartCount)
	}
}

// After a reboot there is no permit, and no guard that is armed.
func TestARebootEndsThePermit(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.desire(db, newPod("web")).pass(time.Second).grant(db).pass(time.Second).runs("db web")
	b.reboot()
	b.pass(time.Minute).runs("web").grant(db).pass(time.Second).runs("db web")
}

// A pod that is bound to the node starts without a permit for ever after, also offline, and needs no guard.
func TestAPinnedPodIsBoundOnce(t *testing.T) {
	b := newBoard(t, nil)
	db := pinned("db")
	b.desire(db).pass(time.Minute).runs("").asks(true).grant(db).pass(time.Second).runs("db").asks(false)
	if _, armed := b.armed(); armed {
		t.Error("the guard is armed for it")
	}
	b.pass(time.Hour).runs("db")
	b.reboot()
	b.pass(10 * time.Second).runs("db").asks(true) // whether that is still so; it runs meanwhile
	b.grant(db).pass(time.Second).runs("db").asks(false)
	b.agent.Unconfirm() // as when another master leads
	b.pass(time.Second).runs("db").asks(true).grant(db).pass(time.Second).runs("db").asks(false)
}

// A pod that was bound to the node, and that the master does not name any more, has lost its place: somebody has fenced
// the node. It ends, and does not come back by itself.
func TestAPinnedPodThatLostItsPlace(t *testing.T) {
	b := newBoard(t, nil)
	db, other := pinned("db"), pinned("other")
	b.desire(db, other).pass(time.Second).grant(db, other).pass(time.Second).runs("db other")
	b.reboot()
	b.pass(10 * time.Second).runs("db other").grant(other).pass(time.Second).runs("other").shows("db=WaitingForPermit other=Running").asks(true)
	b.reboot()
	b.pass(time.Minute).runs("other")
	b.grant(db, other).pass(time.Second).runs("db other")
}

// When the last single pod is gone the guard is let go.
func TestTheGuardIsLetGo(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.desire(db).pass(time.Second).grant(db).pass(time.Second).runs("db")
	grace := int64(5)
	db.DeletionTimestamp, db.DeletionGracePeriodSeconds = &metav1.Time{Time: b.now.Wall}, &grace
	b.desire(db).pass(10 * time.Second).runs("").shows("db=Gone")
	b.desire().pass(time.Second).asks(false)
	if _, armed := b.armed(); armed {
		t.Error("the guard is still armed")
	}
}

// A guard that does not answer: nothing starts, and what runs ends by the deadline that was armed.
func TestAGuardThatIsAway(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.engine.Guard().SetAway(true)
	b.desire(db).pass(time.Second).grant(db).pass(5 * time.Second).runs("")
	if b.agent.GuardError() == nil {
		t.Error("nothing is said of it")
	}
	if m := b.statuses()["db"].ContainerStatuses[0].State.Waiting.Message; !strings.Contains(m, "guard") {
		t.Errorf("the pod waits because %q", m)
	}
	told := func(reason string) {
		t.Helper()
		for _, e := range b.agent.TakeEvents() {
			if e.Reason == reason && e.Warning && strings.Contains(e.Message, "guard") {
				if e.Count > 1 {
					t.Errorf("%d events %s", e.Count, reason)
				}
				return
			}
		}
		t.Errorf("no event %s tells that it is about the guard", reason)
	}
	told("WaitingForPermit")
	b.engine.Guard().SetAway(false)
	b.pass(5 * time.Second).runs("db")
	b.engine.Guard().SetAway(true)
	b.pass(15 * time.Second).grant(db).pass(10 * time.Second).runs("")
	told("PermitEnded")
	b.engine.Guard().SetAway(false)
	b.pass(5 * time.Second).runs("db")
}

// The master asks about a pod that it does not know any more.
func TestRelease(t *testing.T) {
	b := newBoard(t, nil)
	db, slow := pinned("db"), pinned("slow")
	slow.Spec.Containers[0].Args = []string{"ignore"}
	b.desire(db, slow).pass(time.Second).grant(db, slow).pass(time.Second).runs("db slow")
	ask := func(pods ...*corev1.Pod) {
		var uids []string
		for _, p := range pods {
			uids = append(uids, string(p.UID))
		}
		b.agent.Release(append(uids, "never-heard-of"))
		b.pass(time.Second)
	}
	ask(db, slow)
	if got := b.agent.TakeReleased(); !slices.Equal(got, []string{"never-heard-of"}) {
		t.Errorf("released while their containers are there: %v", got)
	}
	b.desire().pass(time.Second)
	ask(db, slow)
	if got := b.agent.TakeReleased(); !slices.Contains(got, string(db.UID)) || !slices.Contains(got, string(slow.UID)) {
		t.Errorf("released: %v", got)
	}
	b.desire(db).pass(time.Minute).runs("") // an old desired state does not bring it back
}

// A grant that comes too late to be of use changes nothing.
func TestAGrantThatCameTooLate(t *testing.T) {
	b := newBoard(t, nil)
	db := single("db")
	b.desire(db).pass(time.Minute)
	b.agent.Grant(message.Grant{Ask: uint64((b.now.Boot - 41*time.Second).Milliseconds()), Millis: 40_000, Pods: []string{string(db.UID)}})
	b.pass(time.Minute).runs("")
}

// An agent that has lost its disk does not know the pods whose containers run. What it is not permitted to run ends at once
// all the same: the deadline that it has armed for others must not let the old ones go on.
func TestWhatAnAgentDoesNotKnowEndsWithItsPermit(t *testing.T) {
	b := newBoard(t, nil)
	old, next := single("old"), single("next")
	old.Spec.Containers[0].Args = []string{"ignore"}
	b.desire(old).pass(time.Second).grant(old).pass(10 * time.Second).runs("old")
	b.disk.records = map[string][]byte{}
	b.startAgent()
	b.desire(next).pass(10 * time.Second).runs("old") // it is told to end, and the permit before lasts
	before, _ := b.armed()
	b.grant(next).pass(time.Second).runs("next")
	if deadline, _ := b.armed(); deadline == before {
		t.Error("the guard was not armed anew")
	}
}

// What can't be stopped though it is not permitted any more holds the guard's deadline where it is: it ends with that.
func TestALaterDeadlineLetsNothingElseGoOn(t *testing.T) {
	b := newBoard(t, nil)
	db, web := single("db"), single("web")
	b.desire(db, web).pass(time.Second).grant(db, web).pass(10 * time.Second).runs("db web")
	b.engine.SetAway(true)
	before, _ := b.armed()
	b.desire(web).grant(web).pass(10 * time.Second).runs("db web").grant(web).pass(10 * time.Second)
	if deadline, _ := b.armed(); deadline != before {
		t.Errorf("the guard is armed for %s, it was for %s, and db runs", deadline, before)
	}
	b.pass(10 * time.Second).runs("")
	b.engine.SetAway(false)
	b.pass(5 * time.Second).grant(web).pass(5 * time.Second).runs("web")
}
