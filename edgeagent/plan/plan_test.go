package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

var now = clock.Now{Wall: time.Unix(1_700_000_000, 0), Boot: time.Hour}

func newPod(name string, priority int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
}

func running(podName string, attempt string) engine.Container {
	return engine.Container{ID: "uid-" + podName + "-app-" + attempt, Image: "app:1", State: engine.Running, Labels: map[string]string{
		engine.LabelPodUID: "uid-" + podName, engine.LabelNamespace: "default", engine.LabelPod: podName,
		engine.LabelContainer: "app", engine.LabelAttempt: attempt,
	}}
}

func lines(p Plan) string {
	var out []string
	for _, a := range p.Actions {
		out = append(out, a.PodUID+" "+a.String())
	}
	return strings.Join(out, "\n")
}

// What ends goes before what begins, and the important before the others.
func TestOrderOnTheNode(t *testing.T) {
	in := Input{
		Desired:    &Desired{Pods: []*corev1.Pod{newPod("a", 0), newPod("b", 1000)}},
		Containers: []engine.Container{running("z", "3")},
		Networks:   map[string]string{"uid-y": ""},
		Memories:   map[string]*pod.Memory{},
	}
	want := `uid-y release: the pod is not desired on this node
uid-z stop app/3: the pod is not desired on this node
uid-b prepare: for app
uid-a prepare: for app`
	p := Make(in, now)
	if diff := cmp.Diff(want, lines(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in.Doing = p.Actions
	if again := Make(in, now); len(again.Actions) > 0 {
		t.Errorf("planning again: %s", lines(again))
	}
	names := map[string]string{}
	for _, s := range p.Pods {
		names[s.UID] = s.Name
	}
	if diff := cmp.Diff(map[string]string{"uid-a": "a", "uid-b": "b", "uid-y": "", "uid-z": "z"}, names); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotKnownIsNotTouched(t *testing.T) {
	in := Input{Containers: []engine.Container{running("z", "0")}, Networks: map[string]string{"uid-y": ""}, Memories: map[string]*pod.Memory{}}
	if p := Make(in, now); len(p.Actions)+len(p.Pods) > 0 {
		t.Errorf("without a desired state: %+v", p)
	}
	in.Desired = &Desired{}
	in.Skip = map[string]bool{"uid-z": true, "uid-y": true}
	if p := Make(in, now); len(p.Actions)+len(p.Pods) > 0 {
		t.Errorf("on old news: %+v", p)
	}
}

// When the machine's memory runs out, those that asked for nothing go first, and none is exempt.
func TestOOMScores(t *testing.T) {
	limits := corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Mi")}
	for name, c := range map[string]struct {
		resources corev1.ResourceRequirements
		want      int
	}{
		"best effort": {corev1.ResourceRequirements{}, 1000},
		"burstable":   {corev1.ResourceRequirements{Requests: limits}, 500},
		"guaranteed":  {corev1.ResourceRequirements{Limits: limits}, 2},
	} {
		p := newPod("web", 0)
		p.Spec.Containers[0].Resources = c.resources
		got, _, err := build(&Desired{}, Node{}, p, &p.Spec.Containers[0], 0, pod.Network{})
		if err != nil || got.OOMScore != c.want {
			t.Errorf("%s: %d (%v), want %d", name, got.OOMScore, err, c.want)
		}
	}
}

func TestBuild(t *testing.T) {
	p := newPod("web", 0)
	user, yes := int64(7), true
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsNonRoot: &yes}
	c := &p.Spec.Containers[0]
	c.Command, c.Args = []string{"serve", "$(PORT)"}, []string{"--host=$(HOSTNAME)"}
	c.Env = []corev1.EnvVar{{Name: "PORT", Value: "80"}}
	c.Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("32Mi"), "cpu": resource.MustParse("1500m")}
	c.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("250m")}
	c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	got, _, err := build(&Desired{}, Node{LogRoot: "/logs", LogMaxBytes: 9, LogMaxFiles: 2}, p, c, 4, pod.Network{Path: "/net"})
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Spec{
		ID: "uid-web-app-4", Image: "app:1", Command: []string{"serve", "80"}, Args: []string{"--host=$(HOSTNAME)"},
		Labels: got.Labels, Env: []string{"HOSTNAME=web", "PORT=80"}, Hostname: "web", User: &user, NonRoot: true, DropCapabilities: []string{"ALL"},
		Sandbox: "uid-web", NetNS: "/net", Cgroup: "poduid-web", CPUMilli: 1500, CPUShares: 256, MemoryBytes: 32 << 20, OOMScore: 500,
		LogDir: "/logs/uid-web/app", LogMaxBytes: 9, LogMaxFiles: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Labels[engine.LabelAttempt] != "4" || got.Labels[engine.LabelPod] != "web" || got.Labels[engine.LabelSpecHash] == "" {
		t.Errorf("labels %v", got.Labels)
	}
	root := int64(0)
	c.SecurityContext.RunAsUser = &root
	if _, _, err := build(&Desired{}, Node{}, p, c, 4, pod.Network{}); err == nil {
		t.Error("runAsNonRoot lets root pass")
	}
}

// What a pod may is what its spec says, the container's word before the pod's: nothing said is no more than any
// container has.
func TestSecurity(t *testing.T) {
	yes, no := true, false
	n := func(i int64) *int64 { return &i }
	unconfined := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	standard := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	for name, c := range map[string]struct {
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		want      engine.Spec
	}{
		"nothing": {},
		"no":      {container: &corev1.SecurityContext{Privileged: &no, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &no}},
		"more": {
			container: &corev1.SecurityContext{AllowPrivilegeEscalation: &yes, ReadOnlyRootFilesystem: &yes, SeccompProfile: unconfined},
			want:      engine.Spec{AllowPrivilegeEscalation: true, ReadOnlyRoot: true, SeccompUnconfined: true},
		},
		"of the pod": {
			pod: &corev1.PodSecurityContext{
				SeccompProfile: unconfined, RunAsNonRoot: &yes, SupplementalGroups: []int64{3, 4}, FSGroup: n(5),
				Sysctls: []corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "0"}},
			},
			want: engine.Spec{SeccompUnconfined: true, NonRoot: true, Groups: []int64{3, 4, 5}, Sysctls: map[string]string{"net.ipv4.tcp_syncookies": "0"}},
		},
		"the container decides": {
			pod:       &corev1.PodSecurityContext{SeccompProfile: unconfined, RunAsNonRoot: &yes, RunAsUser: n(0)},
			container: &corev1.SecurityContext{SeccompProfile: standard, RunAsUser: n(9)},
			want:      engine.Spec{NonRoot: true, User: n(9)},
		},
	} {
		var got engine.Spec
		if err := secure(&got, c.pod, c.container); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeRefusesTheWholeForOnePart(t *testing.T) {
	good, err := newPod("a", 0).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	nameless, _ := (&corev1.Pod{}).Marshal()
	for name, content := range map[string]message.Content{
		"garbage":       {Pods: [][]byte{good, {0xff}}},
		"without uid":   {Pods: [][]byte{good, nameless}},
		"uid twice":     {Pods: [][]byte{good, good}},
		"bad configmap": {Pods: [][]byte{good}, ConfigMaps: [][]byte{{0xff}}},
		"bad secret":    {Pods: [][]byte{good}, Secrets: [][]byte{{0xff}}},
	} {
		if d, err := Decode(content); err == nil {
			t.Errorf("%s: decoded as %+v", name, d)
		}
	}
	if d, err := Decode(message.Content{Pods: [][]byte{good}}); err != nil || len(d.Pods) != 1 {
		t.Errorf("Decode = %+v, %v", d, err)
	}
}
