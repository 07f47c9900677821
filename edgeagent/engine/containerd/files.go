package containerd

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// filesDir is where the files of one container lie.
func (e *Engine) filesDir(name string) string { return filepath.Join(e.Dir, name) }

// writeFiles makes the container's own /etc/hosts, /etc/hostname and /etc/resolv.conf, except where the spec
// mounts something there.
func (e *Engine) writeFiles(name string, spec engine.Spec) ([]specs.Mount, error) {
	dir := e.filesDir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the container's files: %w", err)
	}
	hosts := podHosts(spec)
	if spec.NetNS == "" {
		text, err := os.ReadFile("/etc/hosts")
		if err == nil {
			hosts = append(text, hostLines(spec.Hosts)...)
		}
	}
	var mounts []specs.Mount
	for _, f := range []struct {
		name string
		text []byte
	}{
		{"hosts", hosts},
		{"hostname", []byte(spec.Hostname + "\n")},
		{"resolv.conf", resolvConf("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", spec.NetNS == "")},
	} {
		target := "/etc/" + f.name
		if f.name == "hostname" && spec.Hostname == "" ||
			slices.ContainsFunc(spec.Mounts, func(m engine.Mount) bool { return filepath.Clean(m.Target) == target }) {
			continue
		}
		source := filepath.Join(dir, f.name)
		if err := os.WriteFile(source, f.text, 0o644); err != nil {
			return nil, fmt.Errorf("make the container's files: %w", err)
		}
		mode := "rw"
		if spec.ReadOnlyRoot {
			mode = "ro"
		}
		mounts = append(mounts, specs.Mount{
			Destination: target, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", mode},
		})
	}
	return mounts, nil
}

// podHosts is /etc/hosts of a pod with a network namespace of its own.
func podHosts(spec engine.Spec) []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	named := slices.ContainsFunc(spec.Hosts, func(h engine.Host) bool { return slices.Contains(h.Names, spec.Hostname) })
	if spec.Hostname != "" && !named {
		fmt.Fprintf(&b, "127.0.1.1\t%s\n", spec.Hostname)
	}
	b.Write(hostLines(spec.Hosts))
	return b.Bytes()
}

func hostLines(hosts []engine.Host) []byte {
	var b bytes.Buffer
	for _, h := range hosts {
		fmt.Fprintf(&b, "%s\t%s\n", h.IP, strings.Join(h.Names, " "))
	}
	return b.Bytes()
}

// resolvConf is the machine's resolv.conf. One that only names a resolver on the machine's loopback is of no
// use in another network namespace; systemd-resolved keeps the real one beside it.
func resolvConf(file, upstream string, hostNetwork bool) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // a machine without name resolution: so is the container
	}
	if !hostNetwork && onlyLoopback(text) {
		if real, err := os.ReadFile(upstream); err == nil {
			return real
		}
	}
	return text
}

func onlyLoopback(resolv []byte) bool {
	servers := 0
	for line := range strings.Lines(string(resolv)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		servers++
		if ip, err := netip.ParseAddr(fields[1]); err != nil || !ip.IsLoopback() {
			return false
		}
	}
	return servers > 0
}

// logCreator has the shim start skerry-log for the container's output; see package writer for its arguments.
func (e *Engine) logCreator(spec engine.Spec) (cio.Creator, error) {
	if spec.LogDir == "" {
		if spec.TTY {
			return cio.TerminalLogURI(&url.URL{Scheme: "file", Path: "/dev/null"}), nil
		}
		return cio.NullIO, nil
	}
	if _, err := os.Stat(e.LogWriter); err != nil {
		return nil, fmt.Errorf("%w: the log writer skerry-log is not where it should be: %w", engine.ErrConfig, err)
	}
	if err := os.MkdirAll(spec.LogDir, 0o750); err != nil {
		return nil, fmt.Errorf("make the log directory: %w", err)
	}
	attempt := spec.Labels[engine.LabelAttempt]
	if attempt == "" {
		attempt = "0"
	}
	args := map[string]string{
		"dir":   spec.LogDir,
		"name":  attempt + ".log",
		"bytes": strconv.FormatInt(spec.LogMaxBytes, 10),
		"files": strconv.Itoa(spec.LogMaxFiles),
	}
	if spec.TTY {
		return cio.TerminalBinaryIO(e.LogWriter, args), nil
	}
	return cio.BinaryIO(e.LogWriter, args), nil
}
