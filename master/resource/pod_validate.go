package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validatePod checks a pod with the rules and the words of Kubernetes (pkg/apis/core/validation).
func validatePod(p, old *corev1.Pod) field.ErrorList {
	errs := podFields.refuse(p)
	metadata, spec := field.NewPath("metadata"), field.NewPath("spec")
	errs = append(errs, validateMeta(p, old, true, validation.NameIsDNSSubdomain)...)
	errs = append(errs, validatePolicy(p.Annotations, metadata)...)
	errs = append(errs, validatePodSpec(&p.Spec, spec)...)
	if old != nil {
		errs = append(errs, validatePolicyChange(p.Annotations, old.Annotations, metadata)...)
		errs = append(errs, validatePodChange(&p.Spec, &old.Spec, spec)...)
	}
	return errs
}

// validatePodSpec checks the spec of a pod or of a template.
func validatePodSpec(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	containers := path.Child("containers")
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(containers, ""))
	}
	volumes, more := validateVolumes(s.Volumes, path.Child("volumes"))
	errs = append(errs, more...)
	names := seen[string]{}
	for i := range s.InitContainers {
		c, at := &s.InitContainers[i], path.Child("initContainers").Index(i)
		errs = append(errs, validateContainer(c, s, volumes, at)...)
		errs = append(errs, validateInitContainer(c, at)...)
		if c.Name != "" && names.again(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
	}
	for i := range s.Containers {
		c, at := &s.Containers[i], containers.Index(i)
		errs = append(errs, validateContainer(c, s, volumes, at)...)
		if c.Name != "" && names.again(c.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
	}
	errs = append(errs, validateHostPorts(s, path)...)
	errs = append(errs, validateHostAliases(s.HostAliases, path.Child("hostAliases"))...)
	errs = append(errs, oneOf(path.Child("restartPolicy"), s.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(path.Child("dnsPolicy"), s.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, notNegative(path.Child("terminationGracePeriodSeconds"), s.TerminationGracePeriodSeconds)...)
	errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, validateTolerations(s.Tolerations, path.Child("tolerations"))...)
	if s.NodeName != "" {
		errs = append(errs, invalid(path.Child("nodeName"), s.NodeName, validation.NameIsDNSSubdomain(s.NodeName, false))...)
	}
	if s.ServiceAccountName != "" {
		errs = append(errs, invalid(path.Child("serviceAccountName"), s.ServiceAccountName, validation.ValidateServiceAccountName(s.ServiceAccountName, false))...)
	}
	if s.Hostname != "" {
		errs = append(errs, invalid(path.Child("hostname"), s.Hostname, utilvalidation.IsDNS1123Label(s.Hostname))...)
	}
	if c := s.SecurityContext; c != nil {
		errs = append(errs, validatePodSecurity(c, s.HostNetwork, path.Child("securityContext"))...)
	}
	return errs
}

func validatePodSecurity(c *corev1.PodSecurityContext, hostNetwork bool, path *field.Path) field.ErrorList {
	errs := validateUser(c.RunAsUser, c.RunAsGroup, path)
	for i, g := range c.SupplementalGroups {
		errs = append(errs, invalid(path.Child("supplementalGroups").Index(i), g, utilvalidation.IsValidGroupID(g))...)
	}
	if c.FSGroup != nil {
		errs = append(errs, invalid(path.Child("fsGroup"), *c.FSGroup, utilvalidation.IsValidGroupID(*c.FSGroup))...)
	}
	if p := c.FSGroupChangePolicy; p != nil {
		errs = append(errs, oneOf(path.Child("fsGroupChangePolicy"), *p, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	errs = append(errs, validateSeccomp(c.SeccompProfile, path.Child("seccompProfile"))...)
	names := seen[string]{}
	for i, s := range c.Sysctls {
		at := path.Child("sysctls").Index(i).Child("name")
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(at, ""))
		case names.again(s.Name):
			errs = append(errs, field.Duplicate(at, s.Name))
		case !safeSysctls[s.Name]:
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("%q is %s: it is none of those that Kubernetes calls safe", s.Name, NotSupported)))
		case hostNetwork && strings.HasPrefix(s.Name, "net."):
			errs = append(errs, field.Invalid(at, s.Name, "may not be specified when 'hostNetwork' is true"))
		}
	}
	return errs
}

func validateSeccomp(p *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	if p == nil || p.Type != "" {
		return nil // the types that there are no profiles for are refused by name
	}
	return field.ErrorList{field.Required(path.Child("type"), "type is required when seccompProfile is set")}
}

// safeSysctls are those of a container's own namespaces that reach nothing else on the node, as the kubelet lists
// them (pkg/kubelet/sysctl/safe_sysctls.go).
var safeSysctls = map[string]bool{
	"kernel.shm_rmid_forced": true, "net.ipv4.ip_local_port_range": true, "net.ipv4.tcp_syncookies": true,
	"net.ipv4.ping_group_range": true, "net.ipv4.ip_unprivileged_port_start": true,
	"net.ipv4.ip_local_reserved_ports": true, "net.ipv4.tcp_keepalive_time": true, "net.ipv4.tcp_fin_timeout": true,
	"net.ipv4.tcp_keepalive_intvl": true, "net.ipv4.tcp_keepalive_probes": true, "net.ipv4.tcp_rmem": true,
	"net.ipv4.tcp_wmem": true, "net.ipv4.tcp_slow_start_after_idle": true, "net.ipv4.tcp_notsent_lowat": true,
}

func validateUser(user, group *int64, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, invalid(path.Child("runAsUser"), *user, utilvalidation.IsValidUserID(*user))...)
	}
	if group != nil {
		errs = append(errs, invalid(path.Child("runAsGroup"), *group, utilvalidation.IsValidGroupID(*group))...)
	}
	return errs
}

func validateTolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, t := range tolerations {
		at := path.Index(i)
		if t.Key != "" {
			errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		} else if t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at.Child("effect"), t.Effect,
				"effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			errs = append(errs, invalid(at.Child("value"), t.Value, utilvalidation.IsValidLabelValue(t.Value))...)
		case corev1.TolerationOpExists:
			if t.Value != "" {
				errs = append(errs, field.Invalid(at.Child("value"), t.Value, "value must be empty when `operator` is 'Exists'"))
			}
		default:
			errs = append(errs, field.NotSupported(at.Child("operator"), t.Operator,
				[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
		}
		if t.Effect != "" {
			errs = append(errs, validateEffect(t.Effect, at.Child("effect"))...)
		}
	}
	return errs
}

func validateEffect(effect corev1.TaintEffect, path *field.Path) field.ErrorList {
	return oneOf(path, effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

// validatePodChange checks that an update changes only what can change while a pod runs.
func validatePodChange(s, old *corev1.PodSpec, path *field.Path) field.ErrorList {
	if len(s.Containers) != len(old.Containers) || len(s.InitContainers) != len(old.InitContainers) {
		return field.ErrorList{field.Forbidden(path, "pod updates may not add or remove containers")}
	}
	var errs field.ErrorList
	if !keepsTolerations(s.Tolerations, old.Tolerations) {
		errs = append(errs, field.Forbidden(path.Child("tolerations"),
			"existing toleration can not be modified except its tolerationSeconds"))
	}
	rest := s.DeepCopy()
	rest.Tolerations = old.Tolerations
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	for _, changed := range differences(rest, old, path) {
		errs = append(errs, field.Forbidden(changed, fmt.Sprintf("pod updates may not change fields other than %s",
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.tolerations` (only additions to existing tolerations)")))
	}
	return errs
}

// keepsTolerations reports whether every old toleration is still there, whatever its time.
func keepsTolerations(now, old []corev1.Toleration) bool {
	for _, o := range old {
		kept := false
		for _, n := range now {
			n.TolerationSeconds = o.TolerationSeconds
			kept = kept || n == o
		}
		if !kept {
			return false
		}
	}
	return true
}
