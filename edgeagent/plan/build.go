package plan

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// maxHostname is what the kernel takes; the kubelet cuts pod names to it.
const maxHostname = 63

// build makes the engine's spec of one attempt. Its errors are for the user: what is missing or can't be.
func build(d *Desired, node Node, p *corev1.Pod, c *corev1.Container, attempt int, net pod.Network) (engine.Spec, []pod.SubPath, error) {
	hostname := p.Spec.Hostname
	switch {
	case p.Spec.HostNetwork:
		hostname = node.Name
	case hostname == "":
		hostname = p.Name[:min(len(p.Name), maxHostname)]
	}
	env, err := environment(d, node, p, c, net)
	if err != nil {
		return engine.Spec{}, nil, err
	}
	mounts, parts, err := mounts(node, p, c)
	if err != nil {
		return engine.Spec{}, nil, err
	}
	s := engine.Spec{
		ID: shared.ContainerID(string(p.UID), c.Name, attempt),
		Labels: map[string]string{
			engine.LabelPodUID:    string(p.UID),
			engine.LabelNamespace: p.Namespace,
			engine.LabelPod:       p.Name,
			engine.LabelContainer: c.Name,
			engine.LabelSpecHash:  shared.SpecHash(c),
			engine.LabelAttempt:   strconv.Itoa(attempt),
		},
		Image:       c.Image,
		Command:     expandAll(c.Command, env),
		Args:        expandAll(c.Args, env),
		Dir:         c.WorkingDir,
		Mounts:      mounts,
		Hostname:    hostname,
		Hosts:       hosts(p, hostname, net),
		Sandbox:     string(p.UID),
		NetNS:       net.Path,
		Cgroup:      cgroup(p),
		CPUMilli:    c.Resources.Limits.Cpu().MilliValue(),
		CPUShares:   shares(c),
		MemoryBytes: c.Resources.Limits.Memory().Value(),
		OOMScore:    oomScore(&p.Spec),
		TTY:         c.TTY,
		Stdin:       c.Stdin,
	}
	if guarded(p) {
		s.Labels[engine.LabelGuarded] = "true"
	}
	if _, set := env["HOSTNAME"]; !set {
		env["HOSTNAME"] = hostname
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		s.Env = append(s.Env, name+"="+env[name])
	}
	if node.LogRoot != "" {
		s.LogDir = filepath.Join(node.LogRoot, string(p.UID), c.Name)
		s.LogMaxBytes, s.LogMaxFiles = node.LogMaxBytes, node.LogMaxFiles
	}
	return s, parts, secure(&s, p.Spec.SecurityContext, c.SecurityContext)
}

// hosts are the pod's own address and its hostAliases.
func hosts(p *corev1.Pod, hostname string, net pod.Network) (out []engine.Host) {
	if net.IP != "" {
		out = append(out, engine.Host{IP: net.IP, Names: []string{hostname}})
	}
	for _, a := range p.Spec.HostAliases {
		out = append(out, engine.Host{IP: a.IP, Names: a.Hostnames})
	}
	return out
}

// secure fills in who the process runs as and what it may; the container's word goes before the pod's.
func secure(s *engine.Spec, p *corev1.PodSecurityContext, c *corev1.SecurityContext) error {
	if p == nil {
		p = &corev1.PodSecurityContext{}
	}
	if c == nil {
		c = &corev1.SecurityContext{}
	}
	s.User, s.Group = first(c.RunAsUser, p.RunAsUser), first(c.RunAsGroup, p.RunAsGroup)
	s.NonRoot = isTrue(first(c.RunAsNonRoot, p.RunAsNonRoot))
	if s.NonRoot && s.User != nil && *s.User == 0 {
		return errors.New("container's runAsUser breaks non-root policy")
	}
	s.Groups = p.SupplementalGroups
	if p.FSGroup != nil {
		s.Groups = append(slices.Clone(s.Groups), *p.FSGroup)
	}
	s.Privileged = isTrue(c.Privileged)
	s.AllowPrivilegeEscalation = isTrue(c.AllowPrivilegeEscalation)
	s.ReadOnlyRoot = isTrue(c.ReadOnlyRootFilesystem)
	if profile := first(c.SeccompProfile, p.SeccompProfile); profile != nil {
		s.SeccompUnconfined = profile.Type == corev1.SeccompProfileTypeUnconfined
	}
	for _, sysctl := range p.Sysctls {
		if s.Sysctls == nil {
			s.Sysctls = map[string]string{}
		}
		s.Sysctls[sysctl.Name] = sysctl.Value
	}
	if c.Capabilities != nil {
		for _, name := range c.Capabilities.Add {
			s.AddCapabilities = append(s.AddCapabilities, string(name))
		}
		for _, name := range c.Capabilities.Drop {
			s.DropCapabilities = append(s.DropCapabilities, string(name))
		}
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

func first[T any](choices ...*T) *T {
	for _, c := range choices {
		if c != nil {
			return c
		}
	}
	return nil
}

// oomScore lets the kernel end containers before the machine's own programs, in the order of Kubernetes: first those
// that asked for nothing. None is below what an ordinary program has: that takes a capability which an agent in a
// container may lack.
func oomScore(spec *corev1.PodSpec) int {
	switch shared.QOS(spec) {
	case corev1.PodQOSGuaranteed:
		return 2
	case corev1.PodQOSBurstable:
		return 500
	}
	return 1000
}

// shares are the kubelet's CPU shares (MilliCPUToShares): 1024 a core that is requested, or else limited to, and
// at least 2.
func shares(c *corev1.Container) uint64 {
	milli := c.Resources.Requests.Cpu().MilliValue()
	if milli == 0 {
		milli = c.Resources.Limits.Cpu().MilliValue()
	}
	return uint64(min(max(milli*1024/1000, 2), 262144))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// GuardedCgroup holds, below the agent's parent, the pods that need a permit: what ends them when the agent can't
// ends all that is in it.
const GuardedCgroup = "stop"

// guarded reports whether the pod may run only while it has a permit.
func guarded(p *corev1.Pod) bool { return shared.Single(p) && !shared.Pinned(p) }

// cgroup is the pod's group below the agent's parent.
func cgroup(p *corev1.Pod) string {
	group := "pod" + string(p.UID)
	if guarded(p) {
		return GuardedCgroup + "/" + group
	}
	return group
}
