package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a client leaves out is filled in as Kubernetes does (pkg/apis/{core,apps}/v1/defaults.go).
func TestDefaults(t *testing.T) {
	cases := []struct {
		name     string
		r        *Resource
		in, want string
	}{
		{"a minimal pod", Pods, `
metadata: {name: p, namespace: ns}
spec: {containers: [{name: c, image: busybox}]}`, `
metadata: {name: p, namespace: ns}
spec:
  containers:
  - name: c
    image: busybox
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    resources: {}
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
status: {}`},
		{"what is said stays", Pods, `
metadata: {name: p, namespace: ns}
spec:
  containers:
  - {name: c, image: "busybox:1", imagePullPolicy: Never, terminationMessagePath: /x, terminationMessagePolicy: FallbackToLogsOnError}
  dnsPolicy: Default
  enableServiceLinks: false
  restartPolicy: Never
  schedulerName: mine
  terminationGracePeriodSeconds: 0`, `
metadata: {name: p, namespace: ns}
spec:
  containers:
  - {name: c, image: "busybox:1", imagePullPolicy: Never, terminationMessagePath: /x, terminationMessagePolicy: FallbackToLogsOnError, resources: {}}
  dnsPolicy: Default
  enableServiceLinks: false
  restartPolicy: Never
  schedulerName: mine
  securityContext: {}
  terminationGracePeriodSeconds: 0
status: {}`},
		{"ports, field references, requests from limits, fractions", Pods, `
metadata: {name: p, namespace: ns}
spec:
  containers:
  - name: c
    image: busybox:1
    ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]
    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {limits: {cpu: 100100u, memory: 1Mi}, requests: {cpu: 50m}}`, `
metadata: {name: p, namespace: ns}
spec:
  containers:
  - name: c
    image: busybox:1
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, protocol: TCP}, {containerPort: 53, protocol: UDP}]
    env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    resources: {limits: {cpu: 101m, memory: 1Mi}, requests: {cpu: 50m, memory: 1Mi}}
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
status: {}`},
		{"ports in the node's network, a volume of no kind", Pods, `
metadata: {name: p, namespace: ns}
spec:
  hostNetwork: true
  volumes: [{name: v}]
  containers: [{name: c, image: "busybox:1", ports: [{containerPort: 80}]}]`, `
metadata: {name: p, namespace: ns}
spec:
  hostNetwork: true
  volumes: [{name: v, emptyDir: {}}]
  containers:
  - name: c
    image: busybox:1
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    resources: {}
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
status: {}`},
		{"a deployment", Deployments, `
metadata: {name: d, namespace: ns}
spec:
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: "busybox:1", resources: {limits: {cpu: 1}}}]}}`, `
metadata: {name: d, namespace: ns}
spec:
  progressDeadlineSeconds: 600
  replicas: 1
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: a}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
      - name: c
        image: busybox:1
        imagePullPolicy: IfNotPresent
        resources: {limits: {cpu: 1}}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
status: {}`},
		{"a deployment that recreates, of none", Deployments, deploymentWith("replicas: 0\nstrategy: {type: Recreate}"), `
metadata: {name: d, namespace: ns}
spec:
  progressDeadlineSeconds: 600
  replicas: 0
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: a}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
      - name: c
        image: busybox
        imagePullPolicy: Always
        resources: {}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
status: {}`},
		{"a service", Services, `
metadata: {name: s, namespace: ns}
spec: {selector: {app: a}, ports: [{port: 80}, {port: 53, name: dns, protocol: UDP, targetPort: dns}]}`, `
metadata: {name: s, namespace: ns}
spec:
  internalTrafficPolicy: Cluster
  ports:
  - {port: 80, protocol: TCP, targetPort: 80}
  - {port: 53, name: dns, protocol: UDP, targetPort: dns}
  selector: {app: a}
  sessionAffinity: None
  type: ClusterIP
status: {loadBalancer: {}}`},
		{"a namespace", Namespaces, `metadata: {name: pi, labels: {a: b}}`, `
metadata: {name: pi, labels: {a: b, kubernetes.io/metadata.name: pi}}
spec: {}
status: {}`},
		{"a node", Nodes, `
metadata: {name: pi}
status: {capacity: {cpu: 4}}`, `
metadata: {name: pi}
spec: {}
status: {capacity: {cpu: 4}, allocatable: {cpu: 4}}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := parse[Object](t, c.r, c.in)
			c.r.Default(got)
			want := parse[Object](t, c.r, c.want)
			if diff := cmp.Diff(toYAML(t, want), toYAML(t, got)); diff != "" {
				t.Error(diff)
			}
			c.r.Default(got)
			if diff := cmp.Diff(toYAML(t, want), toYAML(t, got)); diff != "" {
				t.Error("defaulting again changes:", diff)
			}
		})
	}
}

// An image without tag and digest is the latest one, which is pulled each time.
func TestImageTag(t *testing.T) {
	for image, want := range map[string]string{
		"busybox": "latest", "busybox:latest": "latest", "busybox:1.36": "1.36",
		"registry:5000/busybox": "latest", "registry:5000/busybox:1": "1", "registry:5000/a/b@sha256:0123": "",
		"busybox:latest@sha256:0123": "latest", "busybox:1@sha256:0123": "1", "": "latest",
	} {
		if got := imageTag(image); got != want {
			t.Errorf("the tag of %q is %q, want %q", image, got, want)
		}
	}
}
