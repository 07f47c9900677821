package sim

import (
	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/plan"

	"strings"
)

// slotOf names what only one container may run for at a time: the pods of one owner here, of which there is one, and
// the bare pods of one name.
func slotOf(labels map[string]string, apps map[string]string) string {
	uid := labels[engine.LabelPodUID]
	if app := apps[uid]; app != "" {
		return "deployment " + app
	}
	return "pod " + labels[engine.LabelPod]
}

// checkSingle: when a container of a pod starts of which there must be one at most, none of another such pod runs or is
// about to, anywhere.
func (w *World) checkSingle(n *node, spec engine.Spec) {
	if !strings.HasPrefix(spec.Cgroup, plan.GuardedCgroup+"/") {
		return
	}
	uid := spec.Labels[engine.LabelPodUID]
	if pod := n.book.listed[uid]; pod != nil && pod.Labels["app"] != "" {
		w.apps[uid] = pod.Labels["app"]
	}
	w.singles[uid] = true
	slot := slotOf(spec.Labels, w.apps)
	for _, other := range w.machines() {
		for _, c := range other.engine.Containers() {
			o := c.Labels[engine.LabelPodUID]
			if o == uid && other == n || !w.singles[o] || c.State != engine.Running || slotOf(c.Labels, w.apps) != slot {
				continue
			}
			w.fail("%s starts %s (%s) while %s runs %s (%s): both of %s", n.name, spec.Labels[engine.LabelPod], uid,
				other.name, c.Labels[engine.LabelPod], o, slot)
		}
	}
}
