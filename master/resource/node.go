package resource

import (
	"sort"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Nodes is v1 Node.
var Nodes = &Resource{
	Kind:       "nodes",
	GVK:        corev1.SchemeGroupVersion.WithKind("Node"),
	Singular:   "node",
	ShortNames: []string{"no"},
	New:        func() Object { return &corev1.Node{} },
	NewList:    func() runtime.Object { return &corev1.NodeList{} },

	Default: one(func(n *corev1.Node) {
		if n.Status.Allocatable == nil && n.Status.Capacity != nil {
			n.Status.Allocatable = n.Status.Capacity.DeepCopy()
		}
	}),
	// A new node keeps its status, as in Kubernetes, where whatever registers a node says it all at once.
	PrepareCreate: creating(nothing[*corev1.Node]),
	PrepareUpdate: updating(func(updated, old *corev1.Node) { updated.Status = old.Status }),
	Validate:      check(validateNode),

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("Status", "string", "The status of the node"),
		column("Roles", "string", "The roles of the node"),
		ageColumn,
		column("Version", "string", corev1.NodeSystemInfo{}.SwaggerDoc()["kubeletVersion"]),
		wide(column("Internal-IP", "string", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
		wide(column("External-IP", "string", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
		wide(column("OS-Image", "string", corev1.NodeSystemInfo{}.SwaggerDoc()["osImage"])),
		wide(column("Kernel-Version", "string", corev1.NodeSystemInfo{}.SwaggerDoc()["kernelVersion"])),
		wide(column("Container-Runtime", "string", corev1.NodeSystemInfo{}.SwaggerDoc()["containerRuntimeVersion"])),
	},
	Row: row(func(n *corev1.Node, now time.Time) []any {
		info := &n.Status.NodeInfo
		return []any{
			n.Name, nodeStatus(n), orNone(strings.Join(nodeRoles(n), ",")), age(n.CreationTimestamp, now), info.KubeletVersion,
			nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
			orUnknown(info.OSImage), orUnknown(info.KernelVersion), orUnknown(info.ContainerRuntimeVersion),
		}
	}),

	Fields: map[string]func(Object) string{
		"spec.unschedulable": text(func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }),
	},
	Status: true,
}

var nodeFields = allow("metadata", "status", "spec.podCIDR", "spec.podCIDRs", "spec.unschedulable", "spec.taints")

func validateNode(n, old *corev1.Node) field.ErrorList {
	errs := nodeFields.refuse(n)
	path := field.NewPath("spec")
	errs = append(errs, validateMeta(n, old, false, validation.NameIsDNSSubdomain)...)
	if old != nil {
		if old.Spec.PodCIDR != "" && !same(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
			errs = append(errs, field.Forbidden(path.Child("podCIDRs"), `node updates may not change podCIDR except from "" to valid`))
		}
	}
	return append(errs, validateTaints(n.Spec.Taints, path.Child("taints"))...)
}

func validateTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	type id struct {
		key    string
		effect corev1.TaintEffect
	}
	before := seen[id]{}
	for i, t := range taints {
		at := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		errs = append(errs, invalid(at.Child("value"), t.Value, utilvalidation.IsValidLabelValue(t.Value))...)
		errs = append(errs, validateEffect(t.Effect, at.Child("effect"))...)
		if before.again(id{t.Key, t.Effect}) {
			duplicate := field.Duplicate(at, t.ToString())
			duplicate.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, duplicate)
		}
	}
	return errs
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status = "NotReady"
			if c.Status == corev1.ConditionTrue {
				status = "Ready"
			}
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// Labels that say a node's roles.
const (
	rolePrefix = "node-role.kubernetes.io/"
	roleLabel  = "kubernetes.io/role"
)

func nodeRoles(n *corev1.Node) []string {
	roles := map[string]bool{}
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, rolePrefix); ok && role != "" {
			roles[role] = true
		} else if key == roleLabel && value != "" {
			roles[value] = true
		}
	}
	var sorted []string
	for role := range roles {
		sorted = append(sorted, role)
	}
	sort.Strings(sorted)
	return sorted
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return none
}
