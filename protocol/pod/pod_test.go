package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestContainerID(t *testing.T) {
	const uid = "01234567-89ab-cdef-0123-456789abcdef"
	for _, name := range []string{"app", "my-app-2"} {
		id := ContainerID(uid, name, 12)
		gotUID, gotName, attempt, err := ParseContainerID(id)
		if gotUID != uid || gotName != name || attempt != 12 || err != nil {
			t.Errorf("ParseContainerID(%q) = %q, %q, %d, %v", id, gotUID, gotName, attempt, err)
		}
	}
	for _, id := range []string{"", uid, uid + "-", uid + "-app", uid + "--1", uid + "-app-", uid + "-app-x", "short-app-1"} {
		if _, name, attempt, err := ParseContainerID(id); err == nil {
			t.Errorf("ParseContainerID(%q) = %q, %d", id, name, attempt)
		}
	}
}

func TestRestartDelay(t *testing.T) {
	for ends, want := range []time.Duration{0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute} {
		if got := RestartDelay(ends); got != want {
			t.Errorf("after %d ends: %s, want %s", ends, got, want)
		}
	}
	if got := RestartDelay(1 << 30); got != 5*time.Minute {
		t.Errorf("after very many: %s", got)
	}
}

func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"nginx": corev1.PullAlways, "nginx:latest": corev1.PullAlways, "nginx:1": corev1.PullIfNotPresent,
		"host:5000/nginx": corev1.PullAlways, "host:5000/nginx:1": corev1.PullIfNotPresent,
		"nginx@sha256:00": corev1.PullIfNotPresent, "nginx:latest@sha256:00": corev1.PullIfNotPresent,
	} {
		if got := PullPolicy(&corev1.Container{Image: image}); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
	if got := PullPolicy(&corev1.Container{Image: "nginx", ImagePullPolicy: corev1.PullNever}); got != corev1.PullNever {
		t.Errorf("an explicit policy became %s", got)
	}
}

func TestSpecHashIsOfNameAndImage(t *testing.T) {
	a := corev1.Container{Name: "a", Image: "i:1"}
	other := a
	other.TerminationMessagePath = "/dev/termination-log" // a default must not restart anything
	if SpecHash(&a) != SpecHash(&other) {
		t.Error("a default changes the hash")
	}
	other.Image = "i:2"
	if SpecHash(&a) == SpecHash(&other) {
		t.Error("another image has the same hash")
	}
}

func TestQOS(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		out := corev1.ResourceList{}
		if cpu != "" {
			out[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	for name, test := range map[string]struct {
		requests, limits corev1.ResourceList
		want             corev1.PodQOSClass
	}{
		"nothing":            {want: corev1.PodQOSBestEffort},
		"zero":               {requests: list("0", ""), want: corev1.PodQOSBestEffort},
		"a request":          {requests: list("1", ""), want: corev1.PodQOSBurstable},
		"limits":             {limits: list("1", "1Mi"), want: corev1.PodQOSGuaranteed},
		"the same":           {requests: list("1", "1Mi"), limits: list("1000m", "1Mi"), want: corev1.PodQOSGuaranteed},
		"request below":      {requests: list("1", "1Mi"), limits: list("2", "1Mi"), want: corev1.PodQOSBurstable},
		"memory limit alone": {limits: list("", "1Mi"), want: corev1.PodQOSBurstable},
	} {
		spec := &corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: test.requests, Limits: test.limits}}}}
		if got := QOS(spec); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// The cases of the kubelet's getPhase.
func TestPhase(t *testing.T) {
	run := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	wait := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	end := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	for name, test := range map[string]struct {
		policy  corev1.RestartPolicy
		init    *corev1.ContainerState
		regular []corev1.ContainerState
		want    corev1.PodPhase
	}{
		"waiting":                {policy: always, regular: []corev1.ContainerState{wait}, want: corev1.PodPending},
		"running":                {policy: always, regular: []corev1.ContainerState{run}, want: corev1.PodRunning},
		"one waits":              {policy: always, regular: []corev1.ContainerState{run, wait}, want: corev1.PodPending},
		"init runs":              {policy: always, init: &run, regular: []corev1.ContainerState{wait}, want: corev1.PodPending},
		"init failed":            {policy: never, init: ptr(end(1)), regular: []corev1.ContainerState{wait}, want: corev1.PodFailed},
		"init failed, again":     {policy: onFailure, init: ptr(end(1)), regular: []corev1.ContainerState{wait}, want: corev1.PodPending},
		"ended, always":          {policy: always, regular: []corev1.ContainerState{end(0)}, want: corev1.PodRunning},
		"succeeded":              {policy: onFailure, regular: []corev1.ContainerState{end(0), end(0)}, want: corev1.PodSucceeded},
		"failed":                 {policy: never, regular: []corev1.ContainerState{end(0), end(1)}, want: corev1.PodFailed},
		"failed, again":          {policy: onFailure, regular: []corev1.ContainerState{end(0), end(1)}, want: corev1.PodRunning},
		"one ended, one running": {policy: never, regular: []corev1.ContainerState{end(1), run}, want: corev1.PodRunning},
	} {
		spec := &corev1.PodSpec{RestartPolicy: test.policy}
		var init, regular []corev1.ContainerStatus
		if test.init != nil {
			spec.InitContainers = []corev1.Container{{Name: "init"}}
			init = []corev1.ContainerStatus{{Name: "init", State: *test.init}}
		}
		for i, state := range test.regular {
			n := string(rune('a' + i))
			spec.Containers = append(spec.Containers, corev1.Container{Name: n})
			regular = append(regular, corev1.ContainerStatus{Name: n, State: state})
		}
		if got := Phase(spec, init, regular); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestConditionsKeepTheirTransitionTime(t *testing.T) {
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}
	early, late := metav1.Unix(100, 0), metav1.Unix(200, 0)
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(50, 0)}
	st := &corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "app"}}}
	first := Conditions(spec, st, []corev1.PodCondition{scheduled}, early)
	st.Phase, st.ContainerStatuses[0].Ready = corev1.PodRunning, true
	second := Conditions(spec, st, first, late)
	for _, c := range second {
		want := late // Ready has changed
		switch c.Type {
		case corev1.PodInitialized:
			want = early
		case corev1.PodScheduled:
			want = scheduled.LastTransitionTime
		}
		if c.Status != corev1.ConditionTrue || !c.LastTransitionTime.Equal(&want) {
			t.Errorf("%s is %s since %s, want True since %s", c.Type, c.Status, c.LastTransitionTime, want)
		}
	}
	if first[1].Type != corev1.PodReady || first[1].Reason != "ContainersNotReady" || first[1].Message != "containers with unready status: [app]" {
		t.Errorf("unready: %+v", first[1])
	}
}
