package resource

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is wrong with a new object is said in Kubernetes' own words.
func TestValidateCreate(t *testing.T) {
	const label = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
	const subdomain = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
	for _, c := range []struct {
		name string
		r    *Resource
		in   string
		want []string // the errors, or how they begin
	}{
		{"no name", Pods, "metadata: {namespace: ns}\nspec: {containers: [{name: c, image: i}]}",
			[]string{"metadata.name: Required value: name or generateName is required"}},
		{"no namespace", Pods, "metadata: {name: p}\nspec: {containers: [{name: c, image: i}]}",
			[]string{"metadata.namespace: Required value"}},
		{"a namespace for a node", Nodes, "metadata: {name: p, namespace: ns}",
			[]string{"metadata.namespace: Forbidden: not allowed on this type"}},
		{"a bad name", Pods, "metadata: {name: P_, namespace: ns}\nspec: {containers: [{name: c, image: i}]}",
			[]string{`metadata.name: Invalid value: "P_": ` + subdomain}},
		{"bad labels", ConfigMaps, "metadata: {name: c, namespace: ns, labels: {a: -}}",
			[]string{`metadata.labels: Invalid value: "-": `}},
		{"no containers", Pods, "metadata: {name: p, namespace: ns}", []string{"spec.containers: Required value"}},
		{"an empty container", Pods, "metadata: {name: p, namespace: ns}\nspec: {containers: [{}]}", []string{
			"spec.containers[0].name: Required value", "spec.containers[0].image: Required value"}},
		{"names of containers", Pods, "metadata: {name: p, namespace: ns}\nspec: {containers: [{name: C, image: i}, {name: c, image: i}, {name: c, image: ' i'}]}", []string{
			`spec.containers[0].name: Invalid value: "C": ` + label,
			`spec.containers[2].image: Invalid value: " i": must not have leading or trailing whitespace`,
			`spec.containers[2].name: Duplicate value: "c"`}},
		{"enumerations", Pods, podWith("restartPolicy: Sometimes\ndnsPolicy: Default", "imagePullPolicy: Perhaps"), []string{
			`spec.containers[0].imagePullPolicy: Unsupported value: "Perhaps": supported values: "Always", "IfNotPresent", "Never"`,
			`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"`}},
		{"ports", Pods, podWith("", "ports: [{}, {containerPort: 70000, protocol: ICMP}, {name: a, containerPort: 1}, {name: a, containerPort: 2}, {name: A_, containerPort: 3}]"), []string{
			"spec.containers[0].ports[0].containerPort: Required value",
			"spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
			`spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
			`spec.containers[0].ports[3].name: Duplicate value: "a"`,
			`spec.containers[0].ports[4].name: Invalid value: "A_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
			`spec.containers[0].ports[4].name: Invalid value: "A_": must contain at least one letter (a-z)`}},
		{"ports in the node's network", Pods, podWith("hostNetwork: true", "ports: [{containerPort: 80, hostPort: 81}]"), []string{
			"spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"}},
		{"ports of the host", Pods, podWith("", "ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}, {containerPort: 82, hostPort: 80, protocol: UDP}, {containerPort: 83, hostPort: 80, hostIP: 10.0.0.1}, {containerPort: 84, hostPort: 70000}, {containerPort: 85, hostIP: 10.0.0.1}, {containerPort: 86, hostPort: 86, hostIP: '::1'}]"), []string{
			"spec.containers[0].ports[4].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
			"spec.containers[0].ports[5].hostIP: Invalid value: \"10.0.0.1\": may not be set without `hostPort`",
			"spec.containers[0].ports[6].hostIP: Invalid value: \"::1\": must be an IPv4 address",
			`spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"`}},
		{"names of hosts", Pods, podWith("hostAliases: [{ip: nowhere, hostnames: [a, B]}]", ""), []string{
			`spec.hostAliases[0].ip: Invalid value: "nowhere": must be a valid IP address`,
			`spec.hostAliases[0].hostnames[1]: Invalid value: "B": `}},
		{"variables", Pods, podWith("", `env: [{value: x}, {name: "A=B"}, {name: A, valueFrom: {}}, {name: B, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: C, valueFrom: {configMapKeyRef: {}}}, {name: D, valueFrom: {fieldRef: {fieldPath: spec.x}}}, {name: E, valueFrom: {fieldRef: {fieldPath: "metadata.labels['a b']"}}}, {name: F, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: metadata.name}}}]`), []string{
			"spec.containers[0].env[0].name: Required value",
			`spec.containers[0].env[1].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='`,
			"spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `configMapKeyRef` or `secretKeyRef`",
			"spec.containers[0].env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
			"spec.containers[0].env[4].valueFrom.configMapKeyRef.name: Required value",
			"spec.containers[0].env[4].valueFrom.configMapKeyRef.key: Required value",
			`spec.containers[0].env[5].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.x": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
			`spec.containers[0].env[6].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.labels['a b']": `,
			`spec.containers[0].env[7].valueFrom.fieldRef.apiVersion: Invalid value: "v2": must be v1`}},
		{"sources of variables", Pods, podWith("", "envFrom: [{}, {configMapRef: {}}, {prefix: '=', configMapRef: {name: c}}]"), []string{
			"spec.containers[0].envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
			"spec.containers[0].envFrom[1].configMapRef.name: Required value",
			`spec.containers[0].envFrom[2].prefix: Invalid value: "="`}},
		{"resources", Pods, podWith("", "resources: {limits: {cpu: 1, memory: -1}, requests: {cpu: 2, memory: -2}}"), []string{
			`spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.containers[0].resources.requests[memory]: Invalid value: "-2": must be greater than or equal to 0`,
			`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`}},
		{"users", Pods, podWith("securityContext: {runAsUser: -1, runAsGroup: -1}", "securityContext: {privileged: true, allowPrivilegeEscalation: false, capabilities: {add: [SYS_ADMIN]}}"), []string{
			`spec.containers[0].securityContext: Invalid value: "": cannot set ` + "`allowPrivilegeEscalation` to false and `privileged` to true",
			`spec.containers[0].securityContext: Invalid value: "": cannot set ` + "`allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
			"spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive"}},
		{"groups", Pods, podWith("securityContext: {supplementalGroups: [1, -1], fsGroup: -2, fsGroupChangePolicy: Never}", ""), []string{
			"spec.securityContext.supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.securityContext.fsGroup: Invalid value: -2: must be between 0 and 2147483647, inclusive",
			`spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", "OnRootMismatch"`}},
		{"sysctls", Pods, podWith("hostNetwork: true\nsecurityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: '1'}, {name: kernel.panic, value: '1'}, {name: net.ipv4.tcp_rmem, value: '1'}, {name: kernel.shm_rmid_forced}, {value: '1'}]}", ""), []string{
			`spec.securityContext.sysctls[1].name: Forbidden: "kernel.panic" is not supported by skerry: it is none of those that Kubernetes calls safe`,
			`spec.securityContext.sysctls[2].name: Invalid value: "net.ipv4.tcp_rmem": may not be specified when 'hostNetwork' is true`,
			`spec.securityContext.sysctls[3].name: Duplicate value: "kernel.shm_rmid_forced"`,
			"spec.securityContext.sysctls[4].name: Required value"}},
		{"seccomp", Pods, podWith("securityContext: {seccompProfile: {}}", ""), []string{
			"spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set"}},
		{"places", Pods, podWith("nodeName: N_\nhostname: H\nnodeSelector: {a: -}\nterminationGracePeriodSeconds: -1", ""), []string{
			"spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
			`spec.nodeSelector: Invalid value: "-"`,
			`spec.nodeName: Invalid value: "N_": ` + subdomain,
			`spec.hostname: Invalid value: "H": ` + label}},
		{"tolerations", Pods, podWith("tolerations: [{}, {key: k, operator: Exists, value: v}, {key: k, operator: Gt, value: '1'}, {key: k, tolerationSeconds: 1}, {key: k, effect: Never}]", ""), []string{
			`spec.tolerations[0].operator: Invalid value: "": operator must be Exists when ` + "`key` is empty, which means \"match all values and all keys\"",
			`spec.tolerations[1].value: Invalid value: "v": value must be empty when ` + "`operator` is 'Exists'",
			`spec.tolerations[2].operator: Unsupported value: "Gt": supported values: "Equal", "Exists"`,
			"spec.tolerations[3].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
			`spec.tolerations[4].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "PreferNoSchedule"`}},
		{"a policy of one at most", Pods, "metadata: {name: p, namespace: ns, annotations: {skerry.dev/partition-policy: stop}}\nspec: {containers: [{name: c, image: i}]}", nil},
		{"a policy that isn't one", Pods, "metadata: {name: p, namespace: ns, annotations: {skerry.dev/partition-policy: halt}}\nspec: {containers: [{name: c, image: i}]}", []string{
			`metadata.annotations[skerry.dev/partition-policy]: Unsupported value: "halt": supported values: "keep", "stop"`}},
		{"the default policy", Pods, "metadata: {name: p, namespace: ns, annotations: {skerry.dev/partition-policy: keep}}\nspec: {containers: [{name: c, image: i}]}", nil},

		{"a deployment of nothing", Deployments, "metadata: {name: d, namespace: ns}", []string{
			"spec.selector: Required value",
			"spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
			"spec.template.spec.containers: Required value"}},
		{"a selector of everything", Deployments, deploymentWith("selector: {}"), []string{
			"spec.selector: Invalid value: {}: empty selector is invalid for deployment"}},
		{"a selector of others", Deployments, deploymentWith("selector: {matchLabels: {app: b}}"), []string{
			"spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`"}},
		{"a broken selector", Deployments, deploymentWith("selector: {matchExpressions: [{key: a, operator: Near}]}"), []string{
			`spec.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`}},
		{"a template that ends", Deployments, deploymentWith("template: {metadata: {labels: {app: a}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"), []string{
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`}},
		{"numbers", Deployments, deploymentWith("replicas: -1\nminReadySeconds: -1\nrevisionHistoryLimit: -1\nprogressDeadlineSeconds: -1"), []string{
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			"spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
			"spec.progressDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.progressDeadlineSeconds: Invalid value: -1: must be greater than minReadySeconds"}},
		{"recreating with steps", Deployments, deploymentWith("strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}"), []string{
			"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"}},
		{"a strategy unknown", Deployments, deploymentWith("strategy: {type: Gently}"), []string{
			`spec.strategy.type: Unsupported value: "Gently": supported values: "Recreate", "RollingUpdate"`}},
		{"steps of nothing", Deployments, deploymentWith("strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}"), []string{
			"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"}},
		{"steps too large", Deployments, deploymentWith("strategy: {rollingUpdate: {maxSurge: some, maxUnavailable: 101%}}"), []string{
			`spec.strategy.rollingUpdate.maxSurge: Invalid value: "some": a valid percent string must be a numeric string followed by an ending '%'`,
			`spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%`}},
		{"a policy in the wrong place", Deployments, strings.Replace(deploymentWith(""), "namespace: ns}", "namespace: ns, annotations: {skerry.dev/partition-policy: keep}}", 1), []string{
			"metadata.annotations[skerry.dev/partition-policy]: Forbidden: it is an annotation of pods: set it at spec.template.metadata.annotations"}},
		{"a policy in a template", ReplicaSets, deploymentWith("template: {metadata: {labels: {app: a}, annotations: {skerry.dev/partition-policy: halt}}, spec: {containers: [{name: c, image: i}]}}"), []string{
			"spec.template.metadata.annotations[skerry.dev/partition-policy]: Unsupported value"}},
		{"single pods, rolled out one by one by default", Deployments, deploymentWith("template: {metadata: {labels: {app: a}, annotations: {skerry.dev/partition-policy: stop}}, spec: {containers: [{name: c, image: i}]}}"), nil},
		{"single pods with a surge", Deployments, deploymentWith("strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}\ntemplate: {metadata: {labels: {app: a}, annotations: {skerry.dev/partition-policy: stop}}, spec: {containers: [{name: c, image: i}]}}"), []string{
			`spec.strategy.rollingUpdate.maxSurge: Invalid value: "1": must be 0 for pods with skerry.dev/partition-policy: stop`}},

		{"keys of a config map", ConfigMaps, "metadata: {name: c, namespace: ns}\ndata: {'a/b': x, k: x}\nbinaryData: {k: eA==}", []string{
			`data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.'`,
			`data[k]: Invalid value: "k": duplicate of key present in binaryData`}},
		{"a huge config map", ConfigMaps, "metadata: {name: c, namespace: ns}\ndata: {k: '" + strings.Repeat("x", 1<<20+1) + "'}", []string{
			"data: Too long: may not be more than 1048576 bytes"}},

		{"secrets", Secrets, "metadata: {name: s, namespace: ns}\ntype: kubernetes.io/tls\ndata: {'a/b': eA==}", []string{
			`data[a/b]: Invalid value: "a/b": a valid config key must consist of`,
			"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
		{"a secret that is no login", Secrets, "metadata: {name: s, namespace: ns}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: hush}", []string{
			`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": is not valid JSON`}},
		{"a token nobody fills in", Secrets, "metadata: {name: s, namespace: ns}\ntype: kubernetes.io/service-account-token", []string{
			"type: Forbidden: not supported by skerry: no token lies in a Secret; kubectl create token makes one"}},
		{"volumes", Pods, podWith("volumes: [{name: v}, {name: v, emptyDir: {}, secret: {}}, {name: w, configMap: {defaultMode: 512, items: [{path: ../x}, {key: k, path: /x}, {key: k, path: ..x}]}}, {name: h, hostPath: {path: /a/../b, type: Pipe}}, {name: e, emptyDir: {sizeLimit: 1Gi}}, {name: p, projected: {sources: [{}, {secret: {name: s, items: [{key: a, path: p}, {key: b, path: p}]}}]}}]", ""), []string{
			`spec.volumes[1].name: Duplicate value: "v"`,
			"spec.volumes[1].secret: Forbidden: may not specify more than 1 volume type",
			"spec.volumes[2].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
			"spec.volumes[2].configMap.items[0].key: Required value",
			`spec.volumes[2].configMap.items[0].path: Invalid value: "../x": must not contain '..'`,
			`spec.volumes[2].configMap.items[1].path: Invalid value: "/x": must be a relative path`,
			`spec.volumes[2].configMap.items[2].path: Invalid value: "..x": must not start with '..'`,
			"spec.volumes[2].configMap.name: Required value",
			`spec.volumes[3].hostPath.path: Invalid value: "/a/../b": must not contain '..'`,
			`spec.volumes[3].hostPath.type: Unsupported value: "Pipe"`,
			"spec.volumes[4].emptyDir.sizeLimit: Forbidden: not supported by skerry unless `medium` is 'Memory'",
			"spec.volumes[5].projected.sources[0]: Required value",
			`spec.volumes[5].projected.sources[1].secret.items[1].path: Invalid value: "p": conflicting duplicate paths`}},
		{"mounts", Pods, podWith("volumes: [{name: v}]", "volumeMounts: [{}, {name: w, mountPath: x}, {name: v, mountPath: /v, subPath: a/../../b}, {name: v, mountPath: /v, subPath: /x}]"), []string{
			"spec.containers[0].volumeMounts[0].name: Required value",
			"spec.containers[0].volumeMounts[0].mountPath: Required value",
			`spec.containers[0].volumeMounts[1].name: Not found: "w"`,
			`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "x": must be an absolute path`,
			`spec.containers[0].volumeMounts[2].subPath: Invalid value: "a/../../b": must not contain '..'`,
			`spec.containers[0].volumeMounts[3].mountPath: Invalid value: "/v": must be unique`,
			`spec.containers[0].volumeMounts[3].subPath: Invalid value: "/x": must be a relative path`}},
		{"probes", Pods, podWith("", "livenessProbe: {periodSeconds: -1, successThreshold: 2}\nreadinessProbe: {exec: {}, tcpSocket: {port: 1}, terminationGracePeriodSeconds: 1}\nstartupProbe: {httpGet: {port: 0, scheme: FTP}, terminationGracePeriodSeconds: 0}"), []string{
			"spec.containers[0].livenessProbe: Required value: must specify a handler type",
			"spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.containers[0].readinessProbe.exec.command: Required value",
			"spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
			"spec.containers[0].startupProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
			`spec.containers[0].startupProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"`,
			"spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
			"spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
			"spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes"}},
		{"init containers", Pods, podWith("initContainers: [{name: c, image: i, readinessProbe: {exec: {command: [x]}}}]\nterminationGracePeriodSeconds: 5", "lifecycle: {preStop: {sleep: {seconds: 6}}}"), []string{
			"spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
			"spec.containers[0].lifecycle.preStop.sleep: Invalid value: 6: must be greater than or equal to 0 and less than or equal to terminationGracePeriodSeconds",
			`spec.containers[0].name: Duplicate value: "c"`}},

		{"a service's name", Services, "metadata: {name: 1s, namespace: ns}\nspec: {ports: [{port: 1}]}", []string{
			`metadata.name: Invalid value: "1s": a DNS-1035 label must consist of`}},
		{"no ports", Services, "metadata: {name: s, namespace: ns}", []string{"spec.ports: Required value"}},
		{"ports of a service", Services, "metadata: {name: s, namespace: ns}\nspec: {ports: [{port: 0}, {name: a, port: 1, protocol: X}, {name: a, port: 2, targetPort: A_}, {name: b, port: 2}]}", []string{
			"spec.ports[0].name: Required value",
			"spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
			"spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
			`spec.ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
			`spec.ports[2].name: Duplicate value: "a"`,
			`spec.ports[2].targetPort: Invalid value: "A_": must contain only`,
			`spec.ports[2].targetPort: Invalid value: "A_": must contain at least one letter (a-z)`,
			`spec.ports[3]: Duplicate value: "2/TCP"`}},

		{"taints", Nodes, "metadata: {name: pi}\nspec: {taints: [{key: k, effect: NoSchedule}, {key: k, effect: NoSchedule}, {key: '', effect: Never}]}", []string{
			`spec.taints[1]: Duplicate value: "k:NoSchedule": taints must be unique by key and effect pair`,
			`spec.taints[2].key: Invalid value: "": name part must be non-empty`,
			`spec.taints[2].key: Invalid value: "": name part must consist of`,
			`spec.taints[2].effect: Unsupported value: "Never"`}},

		{"a namespace's name", Namespaces, "metadata: {name: a.b}", []string{`metadata.name: Invalid value: "a.b": `}},

		{"an event elsewhere", Events, "metadata: {name: e, namespace: ns}\ninvolvedObject: {namespace: m}", []string{
			`involvedObject.namespace: Invalid value: "m": does not match event.namespace`}},
		{"an event about a node", Events, "metadata: {name: e, namespace: default}\ninvolvedObject: {kind: Node}", nil},
		{"an event that says nothing", EventsV1, "metadata: {name: e, namespace: default}\neventTime: null", []string{
			"eventTime: Required value", "reportingController: Required value", "reportingInstance: Required value",
			"action: Required value", "reason: Required value", "type: Required value"}},
		{"an event of the newer API", EventsV1, "metadata: {name: e, namespace: ns}\neventTime: 2026-01-02T03:04:05.000006Z\nreportingController: c\nreportingInstance: i\naction: a\nreason: r\ntype: Normal\nregarding: {namespace: ns}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := create[Object](t, c.r, c.in)
			matchErrors(t, lines(errs), c.want)
		})
	}
}

func matchErrors(t *testing.T, got string, want []string) {
	t.Helper()
	var all []string
	if got != "" {
		all = strings.Split(got, "\n")
	}
	for i, line := range all {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
			return
		}
	}
	if len(all) < len(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// What may change and what may not, once an object is there.
func TestValidateUpdate(t *testing.T) {
	const others = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.tolerations` (only additions to existing tolerations)"
	for _, c := range []struct {
		name        string
		r           *Resource
		old, update string
		want        []string
	}{
		{"an image", Pods, podWith("", ""), strings.Replace(podWith("", ""), "busybox", "busybox:2\n    imagePullPolicy: Always", 1), nil},
		{"another policy", Pods, podWith("", ""), strings.Replace(podWith("", ""), "namespace: ns", "namespace: ns, annotations: {skerry.dev/partition-policy: stop}", 1), []string{
			"metadata.annotations[skerry.dev/partition-policy]: Forbidden: can't be changed once the pod exists"}},
		{"the default policy, in words", Pods, podWith("", ""), strings.Replace(podWith("", ""), "namespace: ns", "namespace: ns, annotations: {skerry.dev/partition-policy: keep}", 1), nil},
		{"one more toleration", Pods, podWith("tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]", ""),
			podWith("tolerations: [{key: b, operator: Exists}, {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 9}]", ""), nil},
		{"one toleration less", Pods, podWith("tolerations: [{key: a, operator: Exists}]", ""), podWith("", ""), []string{
			"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"}},
		{"another container", Pods, podWith("", ""), "metadata: {name: p, namespace: ns}\nspec: {containers: [{name: c, image: busybox}, {name: d, image: i}]}", []string{
			"spec: Forbidden: pod updates may not add or remove containers"}},
		{"other fields", Pods, podWith("", "args: [a]"), podWith("hostname: h\nterminationGracePeriodSeconds: 1\nnodeName: x", "args: [b]\nworkingDir: /"), []string{
			"spec.containers[0].args[0]: " + others, "spec.containers[0].workingDir: " + others,
			"spec.terminationGracePeriodSeconds: " + others, "spec.nodeName: " + others, "spec.hostname: " + others}},
		{"another name", ConfigMaps, "metadata: {name: c, namespace: ns}", "metadata: {name: d, namespace: ns}", []string{
			`metadata.name: Invalid value: "d": field is immutable`}},
		{"another uid", ConfigMaps, "metadata: {name: c, namespace: ns, uid: u}", "metadata: {name: c, namespace: ns, uid: v}", []string{
			`metadata.uid: Invalid value: "v": field is immutable`}},
		{"no uid", ConfigMaps, "metadata: {name: c, namespace: ns, uid: u}", "metadata: {name: c, namespace: ns}", nil},
		{"a finalizer too late", ConfigMaps, "metadata: {name: c, namespace: ns, deletionTimestamp: 2026-01-02T03:04:05Z, finalizers: [a/b]}",
			"metadata: {name: c, namespace: ns, finalizers: [a/b, a/c]}", []string{
				"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"}},
		{"a frozen config map", ConfigMaps, "metadata: {name: c, namespace: ns}\nimmutable: true\ndata: {a: b}", "metadata: {name: c, namespace: ns}\ndata: {a: c}\nbinaryData: {d: eA==}", []string{
			"immutable: Forbidden: field is immutable when `immutable` is set",
			"data: Forbidden: field is immutable when `immutable` is set",
			"binaryData: Forbidden: field is immutable when `immutable` is set"}},
		{"a deployment's selector", Deployments, deploymentWith(""), deploymentWith("selector: {matchLabels: {app: a, b: c}}\ntemplate: {metadata: {labels: {app: a, b: c}}, spec: {containers: [{name: c, image: i}]}}"), []string{
			`spec.selector: Invalid value: {"matchLabels":{"app":"a","b":"c"}}: field is immutable`}},
		{"a replica set's selector", ReplicaSets, deploymentWith(""), deploymentWith("selector: {matchExpressions: [{key: app, operator: Exists}]}"), []string{
			`spec.selector: Invalid value: `}},
		{"a deployment's template", Deployments, deploymentWith(""), deploymentWith("replicas: 5\ntemplate: {metadata: {labels: {app: a}}, spec: {containers: [{name: x, image: y}]}}"), nil},
		{"a service that loses its head", Services, "metadata: {name: s, namespace: ns}\nspec: {ports: [{port: 1}]}", "metadata: {name: s, namespace: ns}\nspec: {clusterIP: None, ports: [{port: 1}]}", []string{
			`spec.clusterIP: Invalid value: "None": field is immutable`}},
		{"a node's range", Nodes, "metadata: {name: pi}\nspec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}", "metadata: {name: pi}\nspec: {podCIDR: 10.0.1.0/24, podCIDRs: [10.0.1.0/24]}", []string{
			`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`}},
		{"a node's taints", Nodes, "metadata: {name: pi}", "metadata: {name: pi}\nspec: {unschedulable: true, taints: [{key: k, effect: NoSchedule}]}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := parse[Object](t, c.r, c.old)
			if c.r.Default != nil {
				c.r.Default(old)
			}
			updated := parse[Object](t, c.r, c.update)
			matchErrors(t, lines(update(c.r, updated, old)), c.want)
		})
	}
}

// A client can't write a status, a generation or a deletion; a new spec is a new generation.
func TestPrepare(t *testing.T) {
	pod := parse[*corev1.Pod](t, Pods, podWith("", "resources: {limits: {cpu: 1, memory: 1Mi}}"))
	pod.Generation, pod.Status.Phase, pod.Status.Reason = 7, corev1.PodRunning, "Mine"
	pod.DeletionTimestamp = new(metav1.Unix(1, 0))
	prepare(Pods, pod)
	if pod.Generation != 1 || pod.Status.Phase != corev1.PodPending || pod.Status.Reason != "" || pod.DeletionTimestamp != nil {
		t.Errorf("created as %s", toYAML(t, pod))
	}
	if pod.Status.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("class %s", pod.Status.QOSClass)
	}

	for _, r := range []*Resource{Pods, ReplicaSets, Deployments} {
		text := deploymentWith("")
		if r == Pods {
			text = podWith("", "")
		}
		old := parse[Object](t, r, text)
		prepare(r, old)
		old.SetCreationTimestamp(metav1.Unix(5, 0))
		updated := old.DeepCopyObject().(Object)
		updated.SetGeneration(9)
		updated.SetCreationTimestamp(metav1.Unix(6, 0))
		updated.SetLabels(map[string]string{"a": "b"})
		if errs := update(r, updated, old); len(errs) > 0 {
			t.Error(lines(errs))
		}
		if updated.GetGeneration() != 1 || !updated.GetCreationTimestamp().Time.Equal(old.GetCreationTimestamp().Time) {
			t.Errorf("%s: a label makes generation %d of %s", r.Kind, updated.GetGeneration(), updated.GetCreationTimestamp())
		}
		_, spec := podsOf(updated)
		spec.Containers[0].Image = "other"
		if update(r, updated, old); updated.GetGeneration() != 2 {
			t.Errorf("%s: an image makes generation %d", r.Kind, updated.GetGeneration())
		}
	}

	old := parse[*corev1.Node](t, Nodes, "metadata: {name: pi}\nstatus: {phase: Running}")
	updated := parse[*corev1.Node](t, Nodes, "metadata: {name: pi}\nstatus: {phase: Pending}")
	if update(Nodes, updated, old); updated.Status.Phase != corev1.NodeRunning {
		t.Errorf("a client has written a node's status: %s", updated.Status.Phase)
	}
	CopyStatus(updated, parse[*corev1.Node](t, Nodes, "status: {phase: Terminated}"))
	if updated.Status.Phase != corev1.NodeTerminated {
		t.Errorf("the status was not copied: %s", updated.Status.Phase)
	}

	ns := parse[*corev1.Namespace](t, Namespaces, "metadata: {name: pi}")
	prepare(Namespaces, ns)
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 {
		t.Errorf("a namespace begins as %s", toYAML(t, ns))
	}
}
