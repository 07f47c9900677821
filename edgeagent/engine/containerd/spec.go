package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

const (
	// ociVersion is the oldest that has all we use; crun 1.8 refuses 1.3, which is containerd's default.
	ociVersion = "1.0.2"
	// groupAnnotation names the containers that share a shim.
	groupAnnotation = "io.containerd.runc.v2.group"
	defaultPath     = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// specOptions turn a spec into an OCI runtime spec, on top of containerd's default: Docker's capabilities, no
// new privileges, masked paths, own PID, IPC, UTS and mount namespaces.
func (e *Engine) specOptions(name string, spec engine.Spec, img client.Image, config ocispec.ImageConfig, files []specs.Mount) ([]oci.SpecOpts, error) {
	if err := checkNonRoot(spec, config); err != nil {
		return nil, err
	}
	args, err := arguments(spec, config)
	if err != nil {
		return nil, err
	}
	mounts, err := bindMounts(spec.Mounts)
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilityOptions(spec)
	if err != nil {
		return nil, err
	}
	opts := []oci.SpecOpts{
		func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
			s.Version = ociVersion
			s.Process.Rlimits = nil // containerd's own: 1024 open files are too few
			// Inherited, it would be that of containerd, which distributions all but exempt.
			s.Process.OOMScoreAdj = &spec.OOMScore
			s.Linux.Sysctl = spec.Sysctls
			return nil
		},
		// A container's /run is the image's, as Kubernetes has it.
		oci.WithoutRunMount,
		oci.WithDefaultUnixDevices,
		oci.WithEnv(environment(spec, config)),
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd(workingDir(spec, config)),
		oci.WithMounts(append(append([]specs.Mount{cgroupMount()}, files...), mounts...)),
	}
	if e.cgroups.v2 {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
	}
	if spec.Hostname != "" {
		opts = append(opts, oci.WithHostname(spec.Hostname))
	}
	if spec.NetNS != "" {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: spec.NetNS}))
	} else {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	if spec.Sandbox != "" {
		opts = append(opts, oci.WithAnnotations(map[string]string{groupAnnotation: spec.Sandbox}))
	}
	if spec.TTY {
		opts = append(opts, oci.WithTTY)
	}
	if spec.ReadOnlyRoot {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	opts = append(opts, userOption(spec, config))
	opts = append(opts, oci.WithCgroup(e.cgroupPath(name, spec)))
	opts = append(opts, e.limits(spec)...)
	opts = append(opts, capabilities...)
	switch {
	case spec.Privileged:
		opts = append(opts, oci.WithPrivileged, oci.WithNewPrivileges, oci.WithHostDevices, oci.WithAllDevicesAllowed)
	case spec.AllowPrivilegeEscalation:
		opts = append(opts, oci.WithNewPrivileges)
	}
	// The profile depends on the capabilities, so it comes last.
	if e.seccomp && !spec.Privileged && !spec.SeccompUnconfined {
		opts = append(opts, seccomp.WithDefaultProfile())
	}
	return opts, nil
}

// arguments combine the image's and the spec's as Kubernetes does: a command replaces entrypoint and command
// of the image, arguments alone replace its command.
func arguments(spec engine.Spec, config ocispec.ImageConfig) ([]string, error) {
	var args []string
	switch {
	case len(spec.Command) > 0:
		args = slices.Concat(spec.Command, spec.Args)
	case len(spec.Args) > 0:
		args = slices.Concat(config.Entrypoint, spec.Args)
	default:
		args = slices.Concat(config.Entrypoint, config.Cmd)
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("image %s has no command, and the container names none", spec.Image)
	}
	return args, nil
}

// environment is the image's and on top of it the spec's; HOSTNAME is there as in every Kubernetes pod.
func environment(spec engine.Spec, config ocispec.ImageConfig) []string {
	env := slices.Clone(config.Env)
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append([]string{defaultPath}, env...)
	}
	if spec.TTY {
		env = append(env, "TERM=xterm")
	}
	if spec.Hostname != "" {
		env = append(env, "HOSTNAME="+spec.Hostname)
	}
	// The last one of a name wins; only that one is kept.
	last := map[string]string{}
	var names []string
	for _, e := range slices.Concat(env, spec.Env) {
		name, _, _ := strings.Cut(e, "=")
		if _, seen := last[name]; !seen {
			names = append(names, name)
		}
		last[name] = e
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = last[name]
	}
	return out
}

func workingDir(spec engine.Spec, config ocispec.ImageConfig) string {
	switch {
	case spec.Dir != "":
		return spec.Dir
	case config.WorkingDir != "":
		return config.WorkingDir
	}
	return "/"
}

// checkNonRoot refuses root where the spec does, and a user that could be root, in the words of the kubelet.
func checkNonRoot(spec engine.Spec, config ocispec.ImageConfig) error {
	if !spec.NonRoot || spec.User != nil && *spec.User != 0 {
		return nil
	}
	name, _, _ := strings.Cut(config.User, ":")
	number, err := strconv.ParseInt(name, 10, 64)
	switch {
	case spec.User != nil:
		return fmt.Errorf("%w and would run as root", engine.ErrNonRoot)
	case name == "" || err == nil && number == 0:
		return fmt.Errorf("%w and image will run as root", engine.ErrNonRoot)
	case err != nil:
		return fmt.Errorf("%w and image has non-numeric user (%s), cannot verify user is non-root", engine.ErrNonRoot, name)
	}
	return nil
}

// capabilityOptions change Docker's default set: what is added comes first, then what is dropped, and ALL
// before single ones.
func capabilityOptions(spec engine.Spec) ([]oci.SpecOpts, error) {
	add, allAdded, err := capabilityNames(spec.AddCapabilities)
	if err != nil {
		return nil, err
	}
	drop, allDropped, err := capabilityNames(spec.DropCapabilities)
	if err != nil {
		return nil, err
	}
	var opts []oci.SpecOpts
	if allAdded {
		opts = append(opts, oci.WithAllCurrentCapabilities)
	}
	if allDropped {
		opts = append(opts, oci.WithCapabilities(nil))
	}
	return append(opts, oci.WithAddedCapabilities(add), oci.WithDroppedCapabilities(drop)), nil
}

func capabilityNames(names []string) (known []string, all bool, err error) {
	for _, name := range names {
		upper := "CAP_" + strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		switch {
		case upper == "CAP_ALL":
			all = true
		case slices.Contains(cap.Known(), upper):
			known = append(known, upper)
		default:
			return nil, false, fmt.Errorf("capability %q: no such capability", name)
		}
	}
	return known, all, nil
}

// cgroupMount shows a container its own limits. It is each container's own: what makes a container privileged writes
// into its options.
func cgroupMount() specs.Mount {
	return specs.Mount{
		Destination: "/sys/fs/cgroup",
		Type:        "cgroup",
		Source:      "cgroup",
		Options:     []string{"nosuid", "noexec", "nodev", "relatime", "ro"},
	}
}

// bindMounts are the spec's mounts; a source that is not there is told now, in plain words.
func bindMounts(mounts []engine.Mount) ([]specs.Mount, error) {
	var out []specs.Mount
	for _, m := range mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return nil, fmt.Errorf("mount on %s: %w", m.Target, err)
		}
		if !strings.HasPrefix(m.Target, "/") {
			return nil, fmt.Errorf("mount on %q: not an absolute path", m.Target)
		}
		options := []string{"rbind", "rprivate", "rw"}
		if m.ReadOnly {
			options[2] = "ro"
		}
		out = append(out, specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: options})
	}
	return out, nil
}

// kernelHasSeccomp asks the kernel for the mode of this process.
func kernelHasSeccomp() bool {
	return !errors.Is(unix.Prctl(unix.PR_GET_SECCOMP, 0, 0, 0, 0), unix.EINVAL)
}
