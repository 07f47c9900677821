package resource

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// PrivilegedLabel on a namespace, with the value PrivilegedLevel, lets its pods reach into their node.
const (
	PrivilegedLabel = "pod-security.kubernetes.io/enforce"
	PrivilegedLevel = "privileged"
)

// plainCapabilities are those that a pod may add anywhere: the ones that a container has anyway, as the baseline
// of Kubernetes' Pod Security Standards lists them.
var plainCapabilities = map[corev1.Capability]bool{
	"AUDIT_WRITE": true, "CHOWN": true, "DAC_OVERRIDE": true, "FOWNER": true, "FSETID": true, "KILL": true,
	"MKNOD": true, "NET_BIND_SERVICE": true, "SETFCAP": true, "SETGID": true, "SETPCAP": true, "SETUID": true,
	"SYS_CHROOT": true,
}

// PrivilegedReasons says, in the words of Kubernetes' Pod Security, why the pods that an object is or makes may
// run in a privileged namespace only: one that carries PrivilegedLabel. It is empty for everything else. Templates
// are judged too, because what a controller creates from them is not looked at again.
func PrivilegedReasons(o Object) []string {
	s := PodSpec(o)
	if s == nil {
		return nil
	}
	var reasons []string
	if s.HostNetwork {
		reasons = append(reasons, "host namespaces (hostNetwork=true)")
	}
	for _, v := range s.Volumes {
		if v.HostPath != nil {
			reasons = append(reasons, fmt.Sprintf("hostPath volumes (volume %q)", v.Name))
		}
	}
	for _, c := range slices.Concat(s.InitContainers, s.Containers) {
		if c.SecurityContext == nil {
			continue
		}
		if p := c.SecurityContext.Privileged; p != nil && *p {
			reasons = append(reasons, fmt.Sprintf("privileged (container %q must not set securityContext.privileged=true)", c.Name))
		}
		if c.SecurityContext.Capabilities == nil {
			continue
		}
		for _, added := range c.SecurityContext.Capabilities.Add {
			if !plainCapabilities[added] {
				reasons = append(reasons, fmt.Sprintf("non-default capabilities (container %q must not include %q in securityContext.capabilities.add)", c.Name, string(added)))
			}
		}
	}
	return reasons
}
