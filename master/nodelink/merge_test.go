package nodelink

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

func podCondition(kind corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: status}
}

// The agent owns a pod's status but for what the scheduler and the node controller say, and an end is final.
func TestMergePod(t *testing.T) {
	stored := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, Reason: "Old",
		Conditions: []corev1.PodCondition{
			podCondition(corev1.PodScheduled, corev1.ConditionTrue), podCondition(corev1.PodReady, corev1.ConditionFalse),
		},
	}
	lost := corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeLost", Message: "gone"}
	for name, test := range map[string]struct {
		stored, reported, want corev1.PodStatus
	}{
		"the agent's conditions win, the master's stay": {
			stored,
			corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.1", Conditions: []corev1.PodCondition{
				podCondition(corev1.PodReady, corev1.ConditionTrue), podCondition(corev1.PodScheduled, corev1.ConditionFalse),
			}},
			corev1.PodStatus{
				Phase: corev1.PodRunning, HostIP: "10.0.0.1", QOSClass: corev1.PodQOSBurstable, Reason: "Old",
				Conditions: []corev1.PodCondition{
					podCondition(corev1.PodReady, corev1.ConditionTrue), podCondition(corev1.PodScheduled, corev1.ConditionTrue),
				},
			},
		},
		"a new phase has its own reason": {
			corev1.PodStatus{Phase: corev1.PodPending, Reason: "Old"},
			corev1.PodStatus{Phase: corev1.PodFailed},
			corev1.PodStatus{Phase: corev1.PodFailed},
		},
		"what has ended doesn't run again": {lost, corev1.PodStatus{Phase: corev1.PodRunning}, lost},
		"the reason of an end stays": {
			lost,
			corev1.PodStatus{Phase: corev1.PodFailed, HostIP: "10.0.0.1"},
			corev1.PodStatus{Phase: corev1.PodFailed, HostIP: "10.0.0.1", Reason: "NodeLost", Message: "gone"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: test.stored}
			mergePod(pod, &test.reported)
			if diff := cmp.Diff(test.want, pod.Status); diff != "" {
				t.Errorf("the status differs (-want +got):\n%s", diff)
			}
		})
	}
}

// The agent owns its own labels and the node's status, not Ready, Suspect, taints or the labels of users.
func TestMergeNode(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"user": "u"}},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}, {Type: "Disk", Status: corev1.ConditionFalse},
		}},
	}
	mergeNode(node, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{"arch": "arm", "user": "theirs"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "t"}}},
		Status: corev1.NodeStatus{
			NodeInfo: corev1.NodeSystemInfo{Architecture: "arm"},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: resource.ConditionSuspect},
				{Type: "Disk", Status: corev1.ConditionTrue},
			},
		},
	})
	want := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "n", Labels: map[string]string{"arch": "arm", "user": "u"}, Annotations: map[string]string{agentLabels: "arch"},
		},
		Spec: corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			NodeInfo: corev1.NodeSystemInfo{Architecture: "arm"},
			Conditions: []corev1.NodeCondition{
				{Type: "Disk", Status: corev1.ConditionTrue}, {Type: corev1.NodeReady, Status: corev1.ConditionUnknown},
			},
		},
	}
	if diff := cmp.Diff(want, node); diff != "" {
		t.Errorf("the node differs (-want +got):\n%s", diff)
	}
	node.Labels["mine"] = "m"
	mergeNode(node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"arch": "arm64"}}})
	if diff := cmp.Diff(map[string]string{"arch": "arm64", "mine": "m", "user": "u"}, node.Labels); diff != "" {
		t.Errorf("the labels differ (-want +got):\n%s", diff)
	}
}

// A label belongs to whoever set it first; the agent changes and removes only its own.
func TestMergeLabels(t *testing.T) {
	type labels = map[string]string
	for name, test := range map[string]struct {
		before    labels
		agents    string // keys, as the annotation has them
		reported  labels
		want      labels
		wantAgent string
	}{
		"the agent's are set":                  {nil, "", labels{"a": "1"}, labels{"a": "1"}, "a"},
		"the agent's change":                   {labels{"a": "1"}, "a", labels{"a": "2"}, labels{"a": "2"}, "a"},
		"the agent's go":                       {labels{"a": "1"}, "a", nil, labels{}, ""},
		"a user's stays":                       {labels{"zone": "u"}, "", labels{"zone": "n", "a": "1"}, labels{"zone": "u", "a": "1"}, "a"},
		"a user's stays, alone":                {labels{"zone": "u"}, "", labels{"zone": "n"}, labels{"zone": "u"}, ""},
		"a user's outlives the agent's report": {labels{"zone": "u", "a": "1"}, "a", nil, labels{"zone": "u"}, ""},
		"one that a user removed comes back":   {labels{}, "a", labels{"a": "1"}, labels{"a": "1"}, "a"},
		"no key makes others its own":          {labels{"zone": "u"}, "", labels{"b,zone": "n", "a": "1"}, labels{"zone": "u", "a": "1"}, "a"},
		"no label that is none":                {nil, "", labels{"a": "1", "-": "1", "b": "two words", "": ""}, labels{"a": "1"}, "a"},
		"no label that is for administrators": {nil, "", labels{
			"a": "1", "node-restriction.kubernetes.io/vault": "1", "x.node-restriction.kubernetes.io/vault": "1",
		}, labels{"a": "1"}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: test.before}}
			if test.agents != "" {
				node.Annotations = labels{agentLabels: test.agents}
			}
			mergeLabels(node, test.reported)
			if diff := cmp.Diff(test.want, node.Labels); diff != "" {
				t.Errorf("the labels differ (-want +got):\n%s", diff)
			}
			if got := node.Annotations[agentLabels]; got != test.wantAgent {
				t.Errorf("the agent's are %q, want %q", got, test.wantAgent)
			}
		})
	}
}

// An agent reports no more labels than a Node has room for.
func TestMergeManyLabels(t *testing.T) {
	reported := map[string]string{}
	for i := range 10 * maxAgentLabels {
		reported[fmt.Sprintf("l%d", i)] = ""
	}
	node := &corev1.Node{}
	mergeLabels(node, reported)
	if len(node.Labels) != maxAgentLabels {
		t.Errorf("the node has %d labels, want %d", len(node.Labels), maxAgentLabels)
	}
}
