package replicaset

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// expendable sorts pods so that those to be deleted first come first, in Kubernetes' order
// (pkg/controller/controller_utils.go, ActivePodsWithRanks.Less). crowd is the number of related pods on a
// node.
func expendable(pods []*pod, crowd map[string]int) {
	slices.SortFunc(pods, func(a, b *pod) int {
		return cmp.Or(
			yesFirst(a.node == "", b.node == ""),
			cmp.Compare(phaseRank[a.phase], phaseRank[b.phase]),
			yesFirst(!a.ready, !b.ready),
			cmp.Compare(a.cost, b.cost),
			cmp.Compare(crowd[b.node], crowd[a.node]),
			later(a.ready && b.ready, a.readySince, b.readySince),
			cmp.Compare(b.restarts, a.restarts),
			later(true, a.created, b.created),
			cmp.Compare(a.uid, b.uid),
		)
	})
}

var phaseRank = map[corev1.PodPhase]int{corev1.PodPending: 0, "": 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}

func yesFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// later puts the later time first, where the times matter.
func later(matters bool, a, b int64) int {
	if !matters {
		return 0
	}
	return cmp.Compare(b, a)
}
