package plan

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Node is what a plan must know of the machine.
type Node struct {
	Name        string
	IP          string // empty: unknown
	Boot        string // boot id; empty: unknown
	PodRoot     string // directory of all pods' volumes
	LogRoot     string // directory of all pods' log files; empty: no logs
	LogMaxBytes int64  // of one log file
	LogMaxFiles int    // of one container
}

// Input is what a plan is made from.
type Input struct {
	Desired    *Desired // nil: there has never been one, so nothing is known of what should run
	Containers []engine.Container
	Networks   map[string]string // uids of the pods that have one -> address, empty: none
	Volumes    []string          // uids of the pods that have some
	Memories   map[string]*pod.Memory
	Doing      []pod.Action
	// Skip are the pods about which the listing is older than what has happened since: they are left alone.
	Skip   map[string]bool
	Permit pod.Permit
	Node   Node
}

// Pod is what is reported of one pod.
type Pod struct {
	UID, Namespace, Name string
	Status               corev1.PodStatus
	Gone                 bool
	Events               []pod.Event
}

// Plan is what to do.
type Plan struct {
	Actions []pod.Action
	Pods    []Pod // sorted by uid; those of Input.Skip are missing
	Next    clock.Now
}

// Make plans. It adds to in.Memories the pods that are new.
func Make(in Input, now clock.Now) Plan {
	out := Plan{Next: clock.Never}
	if in.Desired == nil {
		return out
	}
	situations := gather(in)
	priority := map[string]int32{}
	for _, uid := range sortedKeys(situations) {
		if in.Skip[uid] {
			continue
		}
		s := situations[uid]
		if in.Memories[uid] == nil {
			in.Memories[uid] = &pod.Memory{}
		}
		d := in.Memories[uid].Decide(*s, now)
		p := Pod{UID: uid, Status: d.Status, Gone: d.Gone, Events: d.Events}
		p.Namespace, p.Name = in.Memories[uid].Name()
		if p.Name == "" && len(s.Containers) > 0 {
			p.Namespace, p.Name = s.Containers[0].Labels[engine.LabelNamespace], s.Containers[0].Labels[engine.LabelPod]
		}
		if s.Pod != nil && s.Pod.Spec.Priority != nil {
			priority[uid] = *s.Pod.Spec.Priority
		}
		out.Pods = append(out.Pods, p)
		out.Actions = append(out.Actions, d.Actions...)
		out.Next = clock.Earliest(out.Next, d.Next)
	}
	// What ends makes room for what begins; among these the more important first.
	slices.SortStableFunc(out.Actions, func(a, b pod.Action) int {
		return cmp.Or(cmp.Compare(begins(a), begins(b)), -cmp.Compare(priority[a.PodUID], priority[b.PodUID]))
	})
	return out
}

func begins(a pod.Action) int {
	switch a.Kind {
	case pod.Prepare, pod.Pull, pod.Start:
		return 1
	}
	return 0
}

// gather puts together what belongs to each pod.
func gather(in Input) map[string]*pod.Situation {
	out := map[string]*pod.Situation{}
	of := func(uid string) *pod.Situation {
		if out[uid] == nil {
			out[uid] = &pod.Situation{UID: uid, Boot: in.Node.Boot, HostIP: in.Node.IP, Permit: in.Permit}
		}
		return out[uid]
	}
	for _, p := range in.Desired.Pods {
		s := of(string(p.UID))
		s.Pod = p
		s.Build = func(c *corev1.Container, attempt int, net pod.Network) (engine.Spec, []pod.SubPath, error) {
			return build(in.Desired, in.Node, p, c, attempt, net)
		}
		s.Volumes = func() ([]pod.Volume, error) { return volumes(in.Desired, in.Node, p) }
	}
	for _, uid := range in.Volumes {
		of(uid).HasVolumes = true
	}
	for uid := range in.Memories {
		of(uid)
	}
	for _, c := range in.Containers {
		s := of(c.Labels[engine.LabelPodUID])
		s.Containers = append(s.Containers, c)
	}
	for uid, ip := range in.Networks {
		s := of(uid)
		s.HasNetwork, s.IP = true, ip
	}
	for _, a := range in.Doing {
		s := of(a.PodUID)
		s.Doing = append(s.Doing, a)
	}
	for _, s := range out {
		slices.SortFunc(s.Containers, func(a, b engine.Container) int { return strings.Compare(a.ID, b.ID) })
	}
	return out
}
