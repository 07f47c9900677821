package resource

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Every field by which a pod reaches into its node is refused where nothing says that it may, in Kubernetes' words
// (the baseline of its Pod Security Standards).
func TestBaseline(t *testing.T) {
	if errPodSecurity != nil {
		t.Fatal(errPodSecurity)
	}
	for _, c := range []struct{ spec, container, want string }{
		{"", "securityContext: {runAsUser: 0, capabilities: {add: [CHOWN, NET_BIND_SERVICE], drop: [ALL]}}", ""},
		{"", "securityContext: {privileged: false, allowPrivilegeEscalation: true, seccompProfile: {type: RuntimeDefault}}", ""},
		{"securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}], fsGroup: 7}", "", ""},
		{"hostNetwork: true", "", "host namespaces (hostNetwork=true)"},
		{"hostPID: true", "", "host namespaces (hostPID=true)"},
		{"hostIPC: true", "", "host namespaces (hostIPC=true)"},
		{"volumes: [{name: v, hostPath: {path: /}}]", "", `hostPath volumes (volume "v")`},
		{"", "ports: [{containerPort: 80, hostPort: 22}]", `hostPort (container "c" uses hostPort 22)`},
		{"", "securityContext: {privileged: true}", `privileged (container "c" must not set securityContext.privileged=true)`},
		{"", "securityContext: {capabilities: {add: [SYS_ADMIN]}}",
			`non-default capabilities (container "c" must not include "SYS_ADMIN" in securityContext.capabilities.add)`},
		{"", "securityContext: {seccompProfile: {type: Unconfined}}",
			`seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")`},
		{"securityContext: {seccompProfile: {type: Unconfined}}", "",
			`seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")`},
		{"", "securityContext: {procMount: Unmasked}", `procMount (container "c" must not set securityContext.procMount to "Unmasked")`},
		{"securityContext: {sysctls: [{name: kernel.panic, value: '1'}]}", "", "forbidden sysctls (kernel.panic)"},
		{"", "livenessProbe: {tcpSocket: {host: 10.0.0.1, port: 22}}", `probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")`},
	} {
		text := podWith(c.spec, c.container)
		p := parse[*corev1.Pod](t, Pods, text)
		plain, free := &corev1.Namespace{}, &corev1.Namespace{}
		free.Labels = map[string]string{PrivilegedLabel: PrivilegedLevel}
		got := PodForbidden(plain, p)
		if c.want == "" && got != "" || c.want != "" && !strings.HasPrefix(got, `violates PodSecurity "baseline:latest": `+c.want) {
			t.Errorf("%s: %q, want %q", text, got, c.want)
		}
		_, spec, _ := strings.Cut(text, "spec:\n")
		d := parse[Object](t, Deployments, deploymentWith("template:\n  metadata: {labels: {app: a}}\n  spec:\n"+indent(spec, 2)))
		if got := PodWarning(plain, d); c.want == "" && got != "" || c.want != "" && !strings.HasPrefix(got, `would violate PodSecurity "baseline:latest": `+c.want) {
			t.Errorf("a template of %s: %q", text, got)
		}
		if got := PodForbidden(free, p) + PodWarning(free, d); got != "" {
			t.Errorf("%s in a privileged namespace: %q", text, got)
		}
	}
	if got := PodWarning(&corev1.Namespace{}, &corev1.Node{}); got != "" {
		t.Errorf("a node: %q", got)
	}
}

// Labels say what a namespace lets in, as in Kubernetes; what can't be read lets in the least.
func TestPodPolicy(t *testing.T) {
	const prefix = "pod-security.kubernetes.io/"
	for _, c := range []struct{ labels, enforce, warn, wrong string }{
		{"", "baseline:latest", "baseline:latest", ""},
		{"enforce=privileged", "privileged:latest", "privileged:latest", ""},
		{"enforce=baseline", "baseline:latest", "baseline:latest", ""},
		{"enforce=restricted enforce-version=v1.25", "restricted:v1.25", "restricted:v1.25", ""},
		{"enforce=privileged warn=restricted", "privileged:latest", "restricted:latest", ""},
		{"warn=privileged", "baseline:latest", "privileged:latest", ""},
		{"enforce=Privileged", "restricted:latest", "privileged:latest", "must be one of privileged, baseline, restricted"},
		{"enforce=baseline enforce-version=7", "baseline:latest", "baseline:latest", `must be "latest" or "v1.x"`},
	} {
		labels := map[string]string{}
		for l := range strings.FieldsSeq(c.labels) {
			name, value, _ := strings.Cut(l, "=")
			labels[prefix+name] = value
		}
		got, errs := podPolicy(labels)
		wrong := ""
		if len(errs) > 0 {
			wrong = errs[0].Detail
		}
		if got.Enforce.String() != c.enforce || got.Warn.String() != c.warn || wrong != c.wrong {
			t.Errorf("%q: enforce %s, warn %s, %q", c.labels, got.Enforce.String(), got.Warn.String(), wrong)
		}
		n := &corev1.Namespace{}
		n.Name, n.Labels = "n", labels
		Namespaces.Default(n)
		if errs := Namespaces.Validate(n, nil); (len(errs) > 0) != (c.wrong != "") {
			t.Errorf("%q: a new namespace: %v", c.labels, errs)
		}
		n.ResourceVersion = "1"
		if errs := Namespaces.Validate(n, n); len(errs) != 0 {
			t.Errorf("%q: a namespace that has it already: %v", c.labels, errs)
		}
	}
}

// A stricter label does not end pods, it says which of them it would not let in.
func TestRelabelWarnings(t *testing.T) {
	pods := func(yield func(*corev1.Pod) bool) {
		for name, spec := range map[string]string{"b": "hostNetwork: true", "a": "hostNetwork: true", "c": "", "d": "hostPID: true", "e": "volumes: [{name: v, hostPath: {path: /}}]"} {
			p := parse[*corev1.Pod](t, Pods, podWith(spec, ""))
			p.Name = name
			if !yield(p) {
				return
			}
		}
	}
	of := func(level string) *corev1.Namespace {
		n := &corev1.Namespace{}
		if n.Name = "ns"; level != "" {
			n.Labels = map[string]string{PrivilegedLabel: level}
		}
		return n
	}
	want := []string{`existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"`,
		"a (and 2 other pods): host namespaces", "e: hostPath volumes"}
	if got := RelabelWarnings(of(""), of("privileged"), pods); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the label was taken away: %q", got)
	}
	if got := RelabelWarnings(of("restricted"), of("baseline"), pods); len(got) < 2 || !strings.Contains(got[0], "restricted:latest") {
		t.Errorf("restricted: %q", got)
	}
	for _, c := range [][2]string{{"privileged", ""}, {"", ""}, {"baseline", ""}, {"baseline", "restricted"}} {
		if got := RelabelWarnings(of(c[0]), of(c[1]), pods); got != nil {
			t.Errorf("from %q to %q: %q", c[1], c[0], got)
		}
	}
}
