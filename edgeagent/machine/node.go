package machine

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxPods is what a node takes, as the kubelet's default.
const maxPods = 110

// memoryCgroup is the condition about limits of memory; the others are Kubernetes' own.
const memoryCgroup corev1.NodeConditionType = "skerry.dev/MemoryLimits"

// build puts a node together.
func (m *Machine) build(s sample, now time.Time) (*corev1.Node, string) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.config.Name, Labels: map[string]string{
		corev1.LabelHostname:   m.config.Name,
		corev1.LabelOSStable:   runtime.GOOS,
		corev1.LabelArchStable: runtime.GOARCH,
	}}}
	maps.Copy(node.Labels, m.config.Labels)
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(cores()), resource.DecimalSI),
		corev1.ResourceMemory:           bytes64(s.memTotal),
		corev1.ResourceEphemeralStorage: bytes64(s.diskTotal),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
	node.Status.Allocatable = maps.Clone(node.Status.Capacity)
	node.Status.Allocatable[corev1.ResourceMemory] = bytes64(s.memTotal - reservedMemory(s.memTotal))
	node.Status.Allocatable[corev1.ResourceEphemeralStorage] = bytes64(s.diskTotal - diskThreshold(s.diskTotal))
	if s.address != "" {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: s.address})
	}
	node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: s.hostname})
	node.Status.NodeInfo = corev1.NodeSystemInfo{
		MachineID: m.fixed.machineID, SystemUUID: m.fixed.systemUUID, BootID: m.fixed.bootID,
		KernelVersion: m.fixed.kernel, OSImage: m.fixed.image,
		ContainerRuntimeVersion: m.engine, KubeletVersion: m.config.Version,
		OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
	}
	node.Status.Images = m.images
	node.Status.Conditions = m.judge.conditions(s, m.fixed.memoryCgroup, now, append(m.network(), m.guard()...)...)
	return node, s.address
}

func bytes64(n uint64) resource.Quantity { return *resource.NewQuantity(int64(n), resource.BinarySI) }

// reservedMemory is kept for the system, the agent and the engine: 100 MiB as the kubelet's eviction threshold,
// but not more than a fifth of a small machine.
func reservedMemory(total uint64) uint64 { return min(100<<20, total/5) }

// diskThreshold is how much of the disk is to stay free: a tenth, as the kubelet has it, but on a big disk
// not more than 2 GiB.
func diskThreshold(total uint64) uint64 { return min(2<<30, total/10) }

// judge decides about pressure, and remembers what it decided since when.
type judge struct{ last []corev1.NodeCondition }

// conditions are the judgements on a sample. Pressure begins at a threshold and ends well away from it, so
// that a reading that hovers there changes nothing.
func (j *judge) conditions(s sample, memoryLimits bool, now time.Time, more ...judgement) []corev1.NodeCondition {
	memory := j.pressed(corev1.NodeMemoryPressure, s.memAvail, reservedMemory(s.memTotal)/2)
	disk := j.pressed(corev1.NodeDiskPressure, s.diskFree, diskThreshold(s.diskTotal))
	pids := s.maxPIDs > 0 && j.pressed(corev1.NodePIDPressure, s.maxPIDs-min(s.threads, s.maxPIDs), s.maxPIDs/20)
	limits := judgement{memoryCgroup, memoryLimits, "MemoryCgroup", "memory limits of containers are enforced"}
	if !memoryLimits {
		limits.reason = "NoMemoryCgroup"
		limits.message = "the kernel's memory cgroup is off, so memory limits are not enforced; add cgroup_enable=memory to the kernel's command line (on a Raspberry Pi in /boot/firmware/cmdline.txt) and reboot"
	}
	var out []corev1.NodeCondition
	for _, c := range append([]judgement{
		pressure(corev1.NodeMemoryPressure, memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory", "memory"),
		pressure(corev1.NodeDiskPressure, disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure", "disk space"),
		pressure(corev1.NodePIDPressure, pids, "KubeletHasInsufficientPID", "KubeletHasSufficientPID", "process ids"),
		limits,
	}, more...) {
		status := corev1.ConditionFalse
		if c.holds {
			status = corev1.ConditionTrue
		}
		since := metav1.NewTime(now.Truncate(time.Second))
		if old := j.find(c.kind); old != nil && old.Status == status {
			since = old.LastTransitionTime
		}
		out = append(out, corev1.NodeCondition{
			Type: c.kind, Status: status, LastTransitionTime: since, Reason: c.reason, Message: c.message,
		})
	}
	j.last = out
	return out
}

// network judges the pods' network, in the words of Kubernetes' network plugins.
func (m *Machine) network() []judgement {
	if m.config.Network == nil {
		return nil
	}
	if problem := m.config.Network.Problem(); problem != nil {
		return []judgement{{corev1.NodeNetworkUnavailable, true, "NoPodNetwork", "only pods with hostNetwork can run: " + problem.Error()}}
	}
	if limits := m.config.Network.Limits(); limits != "" {
		return []judgement{{corev1.NodeNetworkUnavailable, false, "PodNetworkLimited", limits}}
	}
	return []judgement{{corev1.NodeNetworkUnavailable, false, "PodNetworkReady", "pods get addresses of their own"}}
}

// guardUnavailable is the condition of a node on which pods that must run at most once can't be guarded.
const guardUnavailable corev1.NodeConditionType = "skerry.dev/GuardUnavailable"

// guard judges the guard, once there has been something wrong with it: most nodes have no pods that need one.
func (m *Machine) guard() []judgement {
	if m.config.Guard == nil {
		return nil
	}
	if problem := m.config.Guard(); problem != nil {
		return []judgement{{guardUnavailable, true, "NoGuard", "pods with partition policy stop are not started: " + problem.Error()}}
	}
	if m.judge.find(guardUnavailable) == nil {
		return nil
	}
	return []judgement{{guardUnavailable, false, "GuardAnswers", "pods with partition policy stop can be started"}}
}

// judgement is a condition without its time.
type judgement struct {
	kind            corev1.NodeConditionType
	holds           bool
	reason, message string
}

// pressure words a judgement; the reasons are the kubelet's.
func pressure(kind corev1.NodeConditionType, holds bool, little, enough, what string) judgement {
	if holds {
		return judgement{kind, true, little, "little " + what + " is left"}
	}
	return judgement{kind, false, enough, "enough " + what + " is left"}
}

// pressed compares what is left with a threshold; once it was below, half as much again has to be left.
func (j *judge) pressed(kind corev1.NodeConditionType, left, threshold uint64) bool {
	if old := j.find(kind); old != nil && old.Status == corev1.ConditionTrue {
		return left < threshold+threshold/2
	}
	return left < threshold
}

func (j *judge) find(kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range j.last {
		if j.last[i].Type == kind {
			return &j.last[i]
		}
	}
	return nil
}

// largest are the n biggest images, in an order that depends on nothing else.
func largest(images []corev1.ContainerImage, n int) []corev1.ContainerImage {
	images = slices.Clone(images)
	slices.SortFunc(images, func(a, b corev1.ContainerImage) int {
		if a.SizeBytes != b.SizeBytes {
			if a.SizeBytes > b.SizeBytes {
				return -1
			}
			return 1
		}
		return strings.Compare(strings.Join(a.Names, " "), strings.Join(b.Names, " "))
	})
	return images[:min(n, len(images))]
}
