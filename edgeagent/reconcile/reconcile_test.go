package reconcile_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/protocol/message"
)

func TestADesiredPodRuns(t *testing.T) {
	b := newBoard(t, nil)
	b.pass(time.Second).desire(newPod("web")).pass(time.Second).shows("web=Running")
	var reasons []string
	for _, e := range b.agent.TakeEvents() {
		reasons = append(reasons, e.Reason)
		if e.Name != "web" || e.Count != 1 || e.FieldPath != "spec.containers{app}" {
			t.Errorf("event %+v", e)
		}
	}
	if diff := cmp.Diff([]string{"Pulling", "Pulled", "Created", "Started"}, reasons); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The disk is enough: no master, no registry.
func TestAfterARebootTheStoredPodsRun(t *testing.T) {
	b := newBoard(t, nil)
	latest := newPod("moving")
	latest.Spec.Containers[0].Image = "moving:latest" // would be asked for at each start
	b.desire(newPod("web"), latest).pass(time.Minute).shows("moving=Running web=Running")
	b.engine.SetRegistry(false)
	b.engine.SetAway(true)
	b.reboot()
	b.pass(30 * time.Second)
	if n := len(b.statuses()); n != 0 {
		t.Errorf("%d statuses before anything is known", n)
	}
	b.engine.SetAway(false)
	b.pass(2 * time.Second).shows("moving=Running web=Running")
	for name, st := range b.statuses() {
		if c := st.ContainerStatuses[0]; c.RestartCount != 1 || c.LastTerminationState.Terminated == nil {
			t.Errorf("%s after the reboot: %+v", name, c)
		}
	}
}

func TestAnAgentRestartTouchesNothing(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web"), newPod("job", "exit", "1", "3s")).pass(10 * time.Minute)
	b.agent.TakeEvents()
	b.pass(10 * time.Second)
	_, before := b.agent.Statuses()
	counts, writes := b.engine.Counts(), b.disk.writes
	b.startAgent()
	b.pass(5 * time.Second)
	_, after := b.agent.Statuses()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("statuses (-before +after):\n%s", diff)
	}
	if b.engine.Counts() != counts || b.disk.writes != writes {
		t.Errorf("did %+v before, %+v after; wrote %d times before, %d after", counts, b.engine.Counts(), writes, b.disk.writes)
	}
}

func TestAnIdleAgentIsIdle(t *testing.T) {
	b := newBoard(t, nil)
	p := newPod("never")
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Spec.Containers[0].Args = []string{"exit", "0"}
	b.desire(newPod("web"), p).pass(2 * time.Minute).shows("never=Succeeded web=Running")
	version, _ := b.agent.Statuses()
	writes, steps, counts := b.disk.writes, b.steps, b.engine.Counts()
	b.pass(time.Hour)
	if b.disk.writes != writes || b.engine.Counts() != counts {
		t.Errorf("in an idle hour: %d writes, %+v instead of %+v", b.disk.writes-writes, b.engine.Counts(), counts)
	}
	if b.steps-steps > 250 {
		t.Errorf("%d steps in an idle hour", b.steps-steps)
	}
	if v, _ := b.agent.Statuses(); v != version {
		t.Errorf("statuses changed from version %d to %d", version, v)
	}
}

func TestWithoutAnyDesiredStateNothingIsTouched(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web")).pass(time.Minute)
	b.disk.content = nil // lost, with the rest of the disk
	b.disk.records = map[string][]byte{}
	counts := b.engine.Counts()
	b.startAgent()
	b.pass(time.Hour)
	if b.engine.Counts() != counts {
		t.Errorf("did %+v, now %+v", counts, b.engine.Counts())
	}
	b.desire().pass(time.Minute)
	if list, _ := b.engine.List(t.Context()); len(list) != 0 {
		t.Errorf("an explicit empty desired state leaves %v", list)
	}
}

// A document of a version that this agent can't read (after a downgrade) keeps it neither from starting nor
// from leaving alone what runs.
func TestAStoredDesiredStateThatCannotBeReadTouchesNothing(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web")).pass(time.Minute)
	counts := b.engine.Counts()
	b.disk.content = message.Encode(message.Content{Pods: [][]byte{[]byte("no pod")}})
	b.startAgent()
	b.pass(time.Hour)
	if b.engine.Counts() != counts {
		t.Errorf("did %+v, now %+v", counts, b.engine.Counts())
	}
	b.desire(newPod("web")).pass(time.Minute).shows("web=Running")
	if b.engine.Counts() != counts {
		t.Errorf("after the master sent it again: did %+v, now %+v", counts, b.engine.Counts())
	}
}

func TestWhileTheEngineIsAwayStatusesStay(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web", "exit", "1", "10m")).pass(9 * time.Minute).shows("web=Running")
	version, _ := b.agent.Statuses()
	b.engine.SetAway(true)
	b.pass(5 * time.Minute).shows("web=Running")
	if v, _ := b.agent.Statuses(); v != version || b.agent.EngineError() == nil {
		t.Errorf("version %d became %d, engine error %v", version, v, b.agent.EngineError())
	}
	b.engine.SetAway(false)
	b.pass(2 * time.Second).shows("web=Running")
	if c := b.statuses()["web"].ContainerStatuses[0]; c.RestartCount != 1 || b.agent.EngineError() != nil {
		t.Errorf("what ended meanwhile was not noticed: %+v, %v", c, b.agent.EngineError())
	}
}

func TestADeletedPodIsReportedGoneOnceNothingIsLeft(t *testing.T) {
	b := newBoard(t, nil)
	p := newPod("web", "ignore")
	b.desire(p).pass(time.Minute)
	grace := int64(30)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: b.now.Wall}, &grace
	b.desire(p).pass(29 * time.Second).shows("web=Running")
	b.pass(2 * time.Second).shows("web=Gone")
	if len(b.nets) != 0 || len(b.disk.records) != 0 {
		t.Errorf("left: networks %v, records %v", b.nets, b.disk.records)
	}
	if list, _ := b.engine.List(t.Context()); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
	b.desire().pass(time.Second).shows("")
}

func TestASecondDeletionWithoutGraceKills(t *testing.T) {
	b := newBoard(t, nil)
	p := newPod("web", "ignore")
	b.desire(p).pass(time.Minute)
	grace := int64(3600)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: b.now.Wall}, &grace
	b.desire(p).pass(time.Minute).shows("web=Running")
	none := int64(0)
	p.DeletionGracePeriodSeconds = &none
	b.desire(p).pass(time.Second).shows("web=Gone")
}

func TestASlowPullHoldsUpNobodyAndCanBeGivenUp(t *testing.T) {
	b := newBoard(t, map[string]fake.Image{"slow:1": {PullTime: time.Hour}})
	slow := newPod("slow")
	b.desire(slow).pass(time.Second)
	b.desire(slow, newPod("web")).pass(time.Second).shows("slow=ContainerCreating web=Running")
	b.desire(newPod("web")).pass(time.Second).shows("slow=Gone web=Running")
}

func TestARegistryThatIsOutOfReach(t *testing.T) {
	b := newBoard(t, map[string]fake.Image{"web:latest": {}})
	p := newPod("web", "exit", "1", "20s")
	p.Spec.Containers[0].Image = "web:latest"
	b.desire(p).pass(time.Second).shows("web=Running")
	b.engine.SetRegistry(false)
	b.pass(25 * time.Second).shows("web=Running") // with the image that is present
	b.desire(p, newPod("other")).pass(5 * time.Second)
	if w := b.statuses()["other"].ContainerStatuses[0].State.Waiting; w == nil || w.Reason != "ImagePullBackOff" {
		t.Errorf("other waits as %+v", w)
	}
	b.engine.SetRegistry(true)
	b.pass(10 * time.Second)
	if st := b.statuses()["other"]; st.Phase != corev1.PodRunning {
		t.Errorf("other is %s when the registry is back", st.Phase)
	}
}

func TestAMissingConfigMapIsWaitedFor(t *testing.T) {
	b := newBoard(t, nil)
	p := newPod("web", "check", "env", "GREETING", "hello $(WHO)")
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Spec.Containers[0].Args[3] = "hello sea"
	p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "GREETING", Value: "hello $(WHO)"}}
	b.desire(p).pass(time.Second).shows("web=CreateContainerConfigError")
	pod, _ := p.Marshal()
	config, _ := (&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings"}, Data: map[string]string{"WHO": "sea"}}).Marshal()
	b.agent.Accept(message.Content{Pods: [][]byte{pod}, ConfigMaps: [][]byte{config}})
	b.pass(time.Second).shows("web=Succeeded")
}

func TestADesiredStateThatCannotBeReadChangesNothing(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web")).pass(time.Second)
	b.agent.Accept(message.Content{Pods: [][]byte{{0xff, 0xff}}})
	b.pass(time.Minute).shows("web=Running")
}

func TestFailuresOfTheEngineAreRetried(t *testing.T) {
	b := newBoard(t, nil)
	b.engine.Fail(fake.Start, engine.ErrAway)
	b.engine.Fail(fake.Stop, engine.ErrAway)
	b.engine.Fail(fake.Remove, engine.ErrAway)
	b.desire(newPod("web")).pass(time.Second).shows("web=Running")
	b.desire().pass(time.Minute).shows("web=Gone")
}

func TestEventsAreCountedTogether(t *testing.T) {
	b := newBoard(t, nil)
	b.desire(newPod("web", "exit", "1", "1s")).pass(time.Hour)
	events := b.agent.TakeEvents()
	if len(events) > 10 {
		t.Errorf("%d events of one container in a loop", len(events))
	}
	i := slices.IndexFunc(events, func(e message.Event) bool { return e.Reason == "BackOff" })
	if i < 0 || events[i].Count < 5 || !events[i].Warning {
		t.Errorf("no counted BackOff in %+v", events)
	}
	if again := b.agent.TakeEvents(); len(again) != 0 {
		t.Errorf("taken twice: %+v", again)
	}
}
