package resource

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Each field that a pod may have today is accepted.
func TestAcceptedPodFields(t *testing.T) {
	for _, c := range []struct{ spec, container string }{
		{container: "imagePullPolicy: Never"},
		{container: "command: [sh, -c]\nargs: [sleep 1]\nworkingDir: /tmp"},
		{container: "env: [{name: A, value: b}, {name: B, valueFrom: {configMapKeyRef: {name: c, key: k, optional: true}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a/b']\"}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.annotations['A.B/C']\"}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]"},
		{container: "envFrom: [{prefix: P_, configMapRef: {name: c, optional: true}}]"},
		{container: "ports: [{name: http, containerPort: 80, protocol: TCP}, {containerPort: 53, protocol: UDP}]"},
		{container: "resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 1, memory: 64Mi}}"},
		{container: "securityContext: {runAsUser: 1000, runAsGroup: 1000, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}"},
		{container: "securityContext: {privileged: true, capabilities: {add: [NET_ADMIN], drop: [ALL]}}"},
		{container: "terminationMessagePath: /dev/termination-log\nterminationMessagePolicy: File"},
		{container: "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]\nenvFrom: [{prefix: P_, secretRef: {name: s, optional: true}}]"},
		{container: "livenessProbe: {exec: {command: [x]}, initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3, failureThreshold: 4, terminationGracePeriodSeconds: 5}"},
		{container: "readinessProbe: {httpGet: {path: /x, port: web, scheme: HTTPS, host: h, httpHeaders: [{name: A, value: b}]}, successThreshold: 2}"},
		{container: "startupProbe: {tcpSocket: {port: 80}}"},
		{container: "lifecycle: {postStart: {exec: {command: [x]}}, preStop: {sleep: {seconds: 1}}}"},
		{container: "lifecycle: {preStop: {httpGet: {port: 80}}}"},
		{spec: "initContainers: [{name: i, image: i}, {name: s, image: i, restartPolicy: Always, startupProbe: {exec: {command: [x]}}}]"},
		{spec: "volumes: [{name: v}, {name: w, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: x, hostPath: {path: /x, type: DirectoryOrCreate}}]",
			container: "volumeMounts: [{name: v, mountPath: /v, subPath: a/b, readOnly: true}, {name: w, mountPath: /w, mountPropagation: None}]"},
		{spec: "volumes: [{name: v, configMap: {name: c, optional: true, defaultMode: 256, items: [{key: k, path: a/b, mode: 0}]}}, {name: w, secret: {secretName: s}}]"},
		{spec: "volumes: [{name: v, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]"},
		{spec: "volumes: [{name: v, projected: {sources: [{secret: {name: s}}, {configMap: {name: c, items: [{key: k, path: p}]}}, {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}}]"},
		{container: "volumeMounts: []\nstdin: false\ntty: false"},
		{spec: "restartPolicy: OnFailure\nterminationGracePeriodSeconds: 0"},
		{spec: "nodeName: pi-1\nnodeSelector: {a: b}"},
		{spec: "tolerations: [{operator: Exists}, {key: k, value: v, effect: NoExecute, tolerationSeconds: 5}]"},
		{spec: "hostNetwork: true\nhostname: h", container: "ports: [{containerPort: 80, hostPort: 80}]"},
		{container: "ports: [{containerPort: 80, hostPort: 8080, hostIP: 10.0.0.1}, {containerPort: 53, hostPort: 53, protocol: UDP}]"},
		{container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: B, valueFrom: {fieldRef: {fieldPath: status.hostIPs}}}]"},
		{spec: "hostAliases: [{ip: 1.2.3.4, hostnames: [a, b.example]}]"},
		{spec: "securityContext: {runAsUser: 0, runAsGroup: 0}"},
		{spec: "securityContext: {runAsNonRoot: true, supplementalGroups: [1, 2], supplementalGroupsPolicy: Merge, fsGroup: 3, fsGroupChangePolicy: OnRootMismatch}"},
		{spec: "securityContext: {seccompProfile: {type: Unconfined}, sysctls: [{name: net.ipv4.tcp_rmem, value: 1 2 3}]}",
			container: "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}"},
		{spec: "schedulerName: default-scheduler\ndnsPolicy: ClusterFirst\nenableServiceLinks: true"},
		{spec: "dnsPolicy: Default\nenableServiceLinks: false"},
		{spec: "serviceAccountName: default\nautomountServiceAccountToken: false"},
		{spec: "serviceAccountName: robot"},
		{spec: "serviceAccount: robot"},
		{spec: "priority: 0\npreemptionPolicy: PreemptLowerPriority"},
		{spec: "affinity: {}\nvolumes: []\ninitContainers: []\nhostAliases: []\nimagePullSecrets: []"},
		{spec: "hostPID: false\nhostIPC: false\nshareProcessNamespace: false\nhostUsers: true\nsetHostnameAsFQDN: false\nos: {name: linux}"},
	} {
		if _, errs := create[*corev1.Pod](t, Pods, podWith(c.spec, c.container)); len(errs) > 0 {
			t.Errorf("%s %s:\n%s", c.spec, c.container, lines(errs))
		}
	}
}

// Each field that nothing acts upon is refused, at its exact path; in a template as in a pod.
func TestRefusedPodFields(t *testing.T) {
	for _, c := range []struct{ spec, container, path string }{
		{"ephemeralContainers: [{name: i, image: i}]", "", "ephemeralContainers"},
		{"volumes: [{name: v, hostPath: {path: /}}, {name: w, csi: {driver: d}}]", "", "volumes[1].csi"},
		{"volumes: [{name: v, emptyDir: {medium: HugePages}}, {name: w, nfs: {server: s, path: /}}]", "", "volumes[0].emptyDir.medium volumes[1].nfs"},
		{"volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]", "", "volumes[0].projected.sources[0].serviceAccountToken"},
		{"volumes: [{name: v, downwardAPI: {items: [{path: p, resourceFieldRef: {resource: limits.cpu}}]}}]", "", "volumes[0].downwardAPI.items[0].resourceFieldRef"},
		{"initContainers: [{name: i, image: i, restartPolicy: Never}]", "", "initContainers[0].restartPolicy"},
		{"affinity: {nodeAffinity: {}}", "", "affinity"},
		{"topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule}]", "", "topologySpreadConstraints"},
		{"hostPID: true\nhostIPC: true", "", "hostPID hostIPC"},
		{"hostUsers: false", "", "hostUsers"},
		{"shareProcessNamespace: true", "", "shareProcessNamespace"},
		{"imagePullSecrets: [{name: s}]", "", "imagePullSecrets"},
		{"activeDeadlineSeconds: 5", "", "activeDeadlineSeconds"},
		{"subdomain: s", "", "subdomain"},
		{"dnsPolicy: None", "", "dnsPolicy"},
		{"dnsPolicy: ClusterFirstWithHostNet", "", "dnsPolicy"},
		{"dnsConfig: {nameservers: [1.1.1.1]}", "", "dnsConfig"},
		{"schedulerName: mine", "", "schedulerName"},
		{"automountServiceAccountToken: true", "", "automountServiceAccountToken"},
		{"priorityClassName: high", "", "priorityClassName"},
		{"priority: 5", "", "priority"},
		{"preemptionPolicy: Never", "", "preemptionPolicy"},
		{"runtimeClassName: kata", "", "runtimeClassName"},
		{"readinessGates: [{conditionType: x}]", "", "readinessGates"},
		{"schedulingGates: [{name: x}]", "", "schedulingGates"},
		{"resourceClaims: [{name: x}]", "", "resourceClaims"},
		{"resources: {limits: {cpu: 1}}", "", "resources"},
		{"os: {name: windows}", "", "os.name"},
		{"securityContext: {seccompProfile: {type: Localhost, localhostProfile: p}, supplementalGroupsPolicy: Strict, appArmorProfile: {type: Unconfined}, seLinuxOptions: {user: u}}", "",
			"securityContext.seLinuxOptions securityContext.supplementalGroupsPolicy securityContext.seccompProfile.type securityContext.seccompProfile.localhostProfile securityContext.appArmorProfile"},
		{"", "livenessProbe: {grpc: {port: 1}}", "containers[0].livenessProbe.grpc"},
		{"", "volumeMounts: [{name: v, mountPath: /v, subPathExpr: x, mountPropagation: Bidirectional}]", "containers[0].volumeMounts[0].subPathExpr containers[0].volumeMounts[0].mountPropagation"},
		{"", "lifecycle: {preStop: {tcpSocket: {port: 1}}, stopSignal: SIGHUP}", "containers[0].lifecycle.preStop.tcpSocket containers[0].lifecycle.stopSignal"},
		{"", "volumeDevices: [{name: v, devicePath: /v}]", "containers[0].volumeDevices"},
		{"", "stdin: true\nstdinOnce: true\ntty: true", "containers[0].stdin containers[0].stdinOnce containers[0].tty"},
		{"", "restartPolicy: Always", "containers[0].restartPolicy"},
		{"", "resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]", "containers[0].resizePolicy"},
		{"", "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]", "containers[0].env[0].valueFrom.resourceFieldRef"},
		{"", "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}]", "containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"", "resources: {limits: {nvidia.com/gpu: 1, ephemeral-storage: 1Gi, cpu: 1}}",
			"containers[0].resources.limits[ephemeral-storage] containers[0].resources.limits[nvidia.com/gpu]"},
		{"", "resources: {claims: [{name: x}]}", "containers[0].resources.claims"},
		{"", "securityContext: {seccompProfile: {type: Localhost}, procMount: Unmasked}",
			"containers[0].securityContext.procMount containers[0].securityContext.seccompProfile.type"},
		{"", "terminationMessagePath: /x", "containers[0].terminationMessagePath"},
		{"", "terminationMessagePolicy: FallbackToLogsOnError", "containers[0].terminationMessagePolicy"},
	} {
		pod := podWith(c.spec, c.container)
		_, errs := create[*corev1.Pod](t, Pods, pod)
		checkRefused(t, pod, lines(errs), "spec.", c.path)

		_, template, _ := strings.Cut(pod, "spec:\n")
		deployment := deploymentWith("template:\n  metadata: {labels: {app: a}}\n  spec:\n" + indent(template, 2))
		d := parse[Object](t, Deployments, deployment)
		prepare(Deployments, d)
		checkRefused(t, deployment, lines(deploymentFields.refuse(d)), "spec.template.spec.", c.path)
	}
}

// checkRefused compares the refusals among errors with the paths that are expected. Requests follow limits, so
// whatever is refused there is refused twice; that and the checks of values are left aside.
func checkRefused(t *testing.T, text, got, prefix, paths string) {
	t.Helper()
	var refused []string
	for line := range strings.SplitSeq(got, "\n") {
		path, detail, _ := strings.Cut(line, ": ")
		if strings.HasSuffix(detail, NotSupported) && !strings.Contains(path, "resources.requests") {
			refused = append(refused, strings.TrimPrefix(path, prefix))
		}
	}
	want := strings.Fields(paths)
	if prefix != "spec." && strings.Contains(paths, "fieldPath") {
		want = nil // found by Validate, not by the list
	}
	if !sameSet(refused, want) {
		t.Errorf("refused %q, want %q in:\n%s", refused, want, text)
	}
}

func sameSet(a, b []string) bool {
	in := map[string]int{}
	for _, x := range a {
		in[x]++
	}
	for _, x := range b {
		in[x]--
	}
	for _, n := range in {
		if n != 0 {
			return false
		}
	}
	return true
}

// Every field of a pod's spec, alone, is either listed or refused at a path that leads to it. This holds for
// fields that a later version of Kubernetes adds, too.
func TestEveryFieldIsDecidedAbout(t *testing.T) {
	count := 0
	eachField(reflect.TypeFor[corev1.PodSpec](), "", map[reflect.Type]bool{}, func(path string, fill func(reflect.Value)) {
		count++
		var pod corev1.Pod
		fill(reflect.ValueOf(&pod.Spec).Elem())
		errs := podFields.refuse(&pod)
		node := podFields.below["spec"]
		listed := true
		for part := range strings.SplitSeq(path, ".") {
			if node.below == nil {
				break // a leaf takes everything below
			}
			if node = node.below[part]; node == nil {
				listed = false
				break
			}
		}
		switch {
		case !listed && len(errs) != 1:
			t.Errorf("%s is not listed and gets %q", path, lines(errs))
		case !listed:
			found := strings.NewReplacer("[0]", "", "[k]", ".k").Replace(errs[0].Field)
			if !strings.HasPrefix("spec."+path+".", found+".") {
				t.Errorf("%s is refused at %s", path, found)
			}
		case len(node.values) == 0 && len(errs) > 0:
			t.Errorf("%s is listed and gets %q", path, lines(errs))
		case len(node.values) > 0 && (len(errs) == 0) != node.accepts("true"): // what is filled in is true, 7 or xyz
			t.Errorf("%s is listed with values %q and gets %q", path, node.values, lines(errs))
		}
	})
	if count < 500 {
		t.Errorf("only %d fields were tried", count)
	}
}

// eachField calls f for each field, however deep, that holds a value, with a function that fills in this field
// alone.
func eachField(t reflect.Type, path string, above map[reflect.Type]bool, f func(string, func(reflect.Value))) {
	switch {
	case t.Kind() == reflect.Pointer:
		eachField(t.Elem(), path, above, func(p string, fill func(reflect.Value)) {
			f(p, func(v reflect.Value) {
				v.Set(reflect.New(t.Elem()))
				fill(v.Elem())
			})
		})
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		eachField(t.Elem(), path, above, func(p string, fill func(reflect.Value)) {
			f(p, func(v reflect.Value) {
				v.Set(reflect.MakeSlice(t, 1, 1))
				fill(v.Index(0))
			})
		})
	case t.Kind() == reflect.Map:
		eachField(t.Elem(), path+".k", above, func(p string, fill func(reflect.Value)) {
			f(p, func(v reflect.Value) {
				v.Set(reflect.MakeMap(t))
				e := reflect.New(t.Elem()).Elem()
				fill(e)
				v.SetMapIndex(reflect.ValueOf("k").Convert(t.Key()), e)
			})
		})
	case t.Kind() == reflect.Struct && hasFields(t):
		if above[t] {
			return
		}
		above[t] = true
		defer delete(above, t)
		for i := range t.NumField() {
			name, inlined := jsonName(t.Field(i))
			below := path
			if !inlined {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			eachField(t.Field(i).Type, below, above, func(p string, fill func(reflect.Value)) {
				f(p, func(v reflect.Value) { fill(v.Field(i)) })
			})
		}
	default:
		f(path, fillLeaf)
	}
}

func fillLeaf(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*x = resource.MustParse("7")
		return
	case *metav1.Time:
		*x = metav1.Unix(7, 0)
		return
	case *metav1.FieldsV1:
		*x = *metav1.NewFieldsV1("{}")
		return
	case *intstr.IntOrString:
		*x = intstr.FromInt32(7)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("xyz")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.SetBytes([]byte("x"))
	default:
		v.SetInt(7)
	}
}

// Other kinds refuse what they don't act upon, too.
func TestRefusedFieldsOfOtherKinds(t *testing.T) {
	for _, c := range []struct {
		r        *Resource
		in, want string
	}{
		{Services, "metadata: {name: s, namespace: ns}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 30080}]}",
			"spec.ports[0].nodePort: Forbidden: not supported by skerry\nspec.type: Forbidden: not supported by skerry"},
		{Services, "metadata: {name: s, namespace: ns}\nspec: {type: LoadBalancer, ports: [{port: 80}], loadBalancerIP: 1.2.3.4}",
			"spec.type: Forbidden: not supported by skerry\nspec.loadBalancerIP: Forbidden: not supported by skerry"},
		{Services, "metadata: {name: s, namespace: ns}\nspec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}",
			"spec.clusterIP: Forbidden: not supported by skerry\nspec.clusterIPs: Forbidden: not supported by skerry"},
		{Services, "metadata: {name: s, namespace: ns}\nspec: {clusterIP: None, ports: [{port: 80}]}", ""},
		{Services, "metadata: {name: s, namespace: ns}\nspec: {externalIPs: [1.2.3.4], sessionAffinity: ClientIP, ports: [{port: 80}]}",
			"spec.externalIPs: Forbidden: not supported by skerry\nspec.sessionAffinity: Forbidden: not supported by skerry"},
		{Nodes, "metadata: {name: pi}\nspec: {providerID: x, unschedulable: true, podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}",
			"spec.providerID: Forbidden: not supported by skerry"},
	} {
		o := parse[Object](t, c.r, c.in)
		prepare(c.r, o)
		if got := lines(c.r.Validate(o, nil)); got != c.want {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.in, got, c.want)
		}
	}
}
