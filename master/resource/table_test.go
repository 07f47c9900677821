package resource

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var tableTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Tables have the columns and cells of Kubernetes' own server (pkg/printers/internalversion), those of
// `kubectl get -o wide` after the bar.
func TestTables(t *testing.T) {
	const created = "creationTimestamp: 2026-01-02T03:00:00Z"
	for _, c := range []struct {
		name     string
		r        *Resource
		in, want string
	}{
		{"a namespace", Namespaces, "metadata: {name: pi, " + created + "}\nstatus: {phase: Active}", "pi, Active, 4m5s"},
		{"a namespace that goes", Namespaces, "metadata: {name: pi, " + created + ", deletionTimestamp: 2026-01-02T03:04:00Z}\nstatus: {phase: Active}", "pi, Terminating, 4m5s"},
		{"a config map", ConfigMaps, "metadata: {name: c, " + created + "}\ndata: {a: b}\nbinaryData: {c: eA==}", "c, 2, 4m5s"},
		{"no time", ConfigMaps, "metadata: {name: c}", "c, 0, <unknown>"},
		{"a service", Services, "metadata: {name: s, " + created + "}\nspec: {type: ClusterIP, clusterIP: None, selector: {b: c, a: b}, ports: [{port: 80, protocol: TCP}, {port: 53, protocol: UDP}]}",
			"s, ClusterIP, None, <none>, 80/TCP,53/UDP, 4m5s | a=b,b=c"},
		{"a bare service", Services, "metadata: {name: s, " + created + "}\nspec: {type: ClusterIP}", "s, ClusterIP, <none>, <none>, <none>, 4m5s | <none>"},
		{"a deployment", Deployments, strings.Replace(deploymentWith("replicas: 3\ntemplate: {metadata: {}, spec: {containers: [{name: c, image: i}, {name: d, image: j}]}}"), "name: d,", "name: d, "+created+",", 1) + "status: {readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2}",
			"d, 2/3, 1, 2, 4m5s | c,d, i,j, app=a"},
		{"a replica set", ReplicaSets, strings.Replace(deploymentWith("replicas: 3"), "name: d,", "name: d, "+created+",", 1) + "status: {replicas: 3, readyReplicas: 2}",
			"d, 3, 3, 2, 4m5s | c, busybox, app=a"},
		{"a lease", Leases, "metadata: {name: pi, " + created + "}\nspec: {holderIdentity: pi}", "pi, pi, 4m5s"},
		{"an event", Events, "metadata: {name: e.1}\ntype: Normal\nreason: Started\nmessage: \" Started it\\n\"\ninvolvedObject: {kind: Pod, name: p, fieldPath: 'spec.containers{c}'}\nsource: {component: agent, host: pi-1}\ncount: 3\nfirstTimestamp: 2026-01-02T03:00:00Z\nlastTimestamp: 2026-01-02T03:04:00Z",
			"5s, Normal, Started, pod/p | spec.containers{c}, agent, pi-1 ; Started it | 4m5s, 3, e.1"},
		{"an event of the newer API", EventsV1, "metadata: {name: e.1}\ntype: Normal\nreason: Started\nnote: Started\nregarding: {kind: Pod, name: p}\nreportingController: agent\nreportingInstance: pi-1\neventTime: 2026-01-02T03:00:00.000000Z",
			"4m5s, Normal, Started, pod/p | , agent, pi-1 ; Started | 4m5s, 1, e.1"},
		{"a series of events", EventsV1, "metadata: {name: e.1}\ntype: Normal\nreason: Started\nnote: Started\nregarding: {kind: Pod, name: p}\neventTime: 2026-01-02T03:00:00.000000Z\nseries: {count: 7, lastObservedTime: 2026-01-02T03:04:04.000000Z}",
			"1s, Normal, Started, pod/p | ,  ; Started | 4m5s, 7, e.1"},
		{"a node", Nodes, "metadata: {name: pi, " + created + ", labels: {node-role.kubernetes.io/worker: '', node-role.kubernetes.io/edge: '', kubernetes.io/role: spare}}\nstatus:\n  conditions: [{type: Ready, status: 'True'}]\n  addresses: [{type: InternalIP, address: 10.0.0.7}, {type: ExternalIP, address: 1.2.3.4}]\n  nodeInfo: {kubeletVersion: v1, osImage: Debian, kernelVersion: '6.1', containerRuntimeVersion: containerd://1.6}",
			"pi, Ready, edge,spare,worker, 4m5s, v1 | 10.0.0.7, 1.2.3.4, Debian, 6.1, containerd://1.6"},
		{"a node that is lost and cordoned", Nodes, "metadata: {name: pi, " + created + "}\nspec: {unschedulable: true}\nstatus: {conditions: [{type: Ready, status: Unknown}]}",
			"pi, NotReady,SchedulingDisabled, <none>, 4m5s,  | <none>, <none>, <unknown>, <unknown>, <unknown>"},
		{"a node that said nothing", Nodes, "metadata: {name: pi, " + created + "}", "pi, Unknown, <none>, 4m5s,  | <none>, <none>, <unknown>, <unknown>, <unknown>"},
		{"a pod", Pods, "metadata: {name: p, " + created + "}\nspec: {nodeName: pi-1, containers: [{name: c}]}\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.9}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}",
			"p, 1/1, Running, 0, 4m5s | 10.0.0.9, pi-1, <none>, <none>"},
		{"a pod with gates", Pods, "metadata: {name: p, " + created + "}\nspec: {containers: [{name: c}], readinessGates: [{conditionType: a}, {conditionType: b}]}\nstatus: {phase: Pending, nominatedNodeName: pi-2, conditions: [{type: a, status: 'True'}]}",
			"p, 0/1, Pending, 0, 4m5s | <none>, <none>, pi-2, 1/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := parse[Object](t, c.r, c.in)
			if got := rowText(c.r, o); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// rowText joins the cells; bars stand around those that `-o wide` alone shows, a semicolon where plain ones follow.
func rowText(r *Resource, o Object) string {
	var out strings.Builder
	wide := false
	for i, cell := range r.Row(o, tableTime) {
		switch now := r.Columns[i].Priority > 0; {
		case now && !wide:
			out.WriteString(" | ")
			wide = true
		case !now && wide:
			out.WriteString(" ; ")
			wide = false
		case i > 0:
			out.WriteString(", ")
		}
		fmt.Fprint(&out, cell)
	}
	return out.String()
}

// Every row of every kind has a cell for each column, of the column's type as far as JSON goes.
func TestRowsFitColumns(t *testing.T) {
	for _, r := range All {
		cells := r.Row(r.New(), tableTime)
		if len(cells) != len(r.Columns) {
			t.Errorf("%s has %d columns and %d cells", r.GVK, len(r.Columns), len(cells))
		}
		for i, c := range r.Columns {
			if _, number := cells[i].(int64); c.Type == "integer" && !number {
				t.Errorf("%s: column %s holds a %T", r.GVK, c.Name, cells[i])
			}
			if c.Description == "" {
				t.Errorf("%s: column %s has no description", r.GVK, c.Name)
			}
		}
	}
}

// The status of a pod is the most telling thing that its containers have to say.
func TestPodStatusColumn(t *testing.T) {
	for _, c := range []struct{ name, more, status, want string }{
		{"not scheduled", "", "{phase: Pending}", "0/1 Pending 0"},
		{"being made", "", "{phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}", "0/1 ContainerCreating 0"},
		{"no image", "", "{phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ImagePullBackOff}}}]}", "0/1 ImagePullBackOff 0"},
		{"waiting without a reason", "", "{phase: Pending, containerStatuses: [{name: c, state: {waiting: {}}}]}", "0/1 Pending 0"},
		{"crashing", "", "{phase: Running, containerStatuses: [{name: c, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, finishedAt: 2026-01-02T03:04:00Z}}}]}",
			"0/1 CrashLoopBackOff 3 (5s ago)"},
		{"restarted at an unknown time", "", "{phase: Running, containerStatuses: [{name: c, ready: true, restartCount: 1, state: {running: {}}}]}", "1/1 Running 1"},
		{"done", "", "{phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}]}", "0/1 Completed 0"},
		{"failed", "", "{phase: Failed, containerStatuses: [{name: c, state: {terminated: {reason: Error, exitCode: 1}}}]}", "0/1 Error 0"},
		{"out of memory", "", "{phase: Running, containerStatuses: [{name: c, state: {terminated: {reason: OOMKilled, exitCode: 137}}}]}", "0/1 OOMKilled 0"},
		{"ended without a reason", "", "{phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 3}}}]}", "0/1 ExitCode:3 0"},
		{"ended by a signal", "", "{phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 3, signal: 9}}}]}", "0/1 Signal:9 0"},
		{"evicted", "", "{phase: Failed, reason: Evicted}", "0/1 Evicted 0"},
		{"failed with its node", "", "{phase: Failed, reason: NodeLost, containerStatuses: [{name: c, ready: false, state: {running: {}}}]}", "0/1 NodeLost 0"},
		{"on a lost node", "", "{phase: Running, reason: NodeLost, containerStatuses: [{name: c, ready: true, state: {running: {}}}]}", "1/1 Unknown 0"},
		{"going on a lost node", "deletionTimestamp: 2026-01-02T03:04:00Z", "{phase: Running, reason: NodeLost}", "0/1 Unknown 0"},
		{"going", "deletionTimestamp: 2026-01-02T03:04:00Z", "{phase: Running, containerStatuses: [{name: c, ready: true, state: {running: {}}}]}", "1/1 Terminating 0"},
		{"done and going", "deletionTimestamp: 2026-01-02T03:04:00Z", "{phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}]}", "0/1 Completed 0"},
		{"one of two has ended, not ready", "2", "{phase: Running, containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}, {name: d, ready: true, state: {running: {}}}]}", "1/2 NotReady 0"},
		{"one of two has ended, ready", "2", "{phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: c, state: {terminated: {reason: Completed}}}, {name: d, ready: true, state: {running: {}}}]}", "1/2 Running 0"},
		{"both restarted", "2", "{phase: Running, containerStatuses: [{name: c, ready: true, restartCount: 1, state: {running: {}}, lastState: {terminated: {finishedAt: 2026-01-02T03:03:00Z}}}, {name: d, ready: true, restartCount: 2, state: {running: {}}, lastState: {terminated: {finishedAt: 2026-01-02T02:04:05Z}}}]}", "2/2 Running 3 (65s ago)"},
		{"held back", "", "{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}", "0/1 SchedulingGated 0"},

		{"initializing", "init", "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: j, state: {running: {}}}]}", "0/2 Init:1/2 0"},
		{"initializing, waiting", "init", "{phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: PodInitializing}}}]}", "0/2 Init:0/2 0"},
		{"initializing, crashing", "init", "{phase: Pending, initContainerStatuses: [{name: i, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: 2026-01-02T03:04:00Z}}}]}", "0/2 Init:CrashLoopBackOff 2 (5s ago)"},
		{"initializing, failed", "init", "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 2, reason: Error}}}]}", "0/2 Init:Error 0"},
		{"initializing, failed without a reason", "init", "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 2}}}]}", "0/2 Init:ExitCode:2 0"},
		{"initializing, killed", "init", "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 2, signal: 9}}}]}", "0/2 Init:Signal:9 0"},
		{"initialized, with a sidecar", "init", "{phase: Running, initContainerStatuses: [{name: i, restartCount: 5, state: {terminated: {exitCode: 0}}}, {name: j, restartCount: 1, started: true, ready: true, state: {running: {}}, lastState: {terminated: {finishedAt: 2026-01-02T03:04:00Z}}}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}", "2/2 Running 1 (5s ago)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			metadata, spec := "", "{containers: [{name: c}]}"
			switch c.more {
			case "2":
				spec = "{containers: [{name: c}, {name: d}]}"
			case "init":
				spec = "{initContainers: [{name: i}, {name: j, restartPolicy: Always}], containers: [{name: c}]}"
			default:
				metadata = c.more
			}
			p := parse[Object](t, Pods, "metadata: {"+metadata+"}\nspec: "+spec+"\nstatus: "+c.status)
			cells := Pods.Row(p, tableTime)
			if got := fmt.Sprintf("%s %s %s", cells[1], cells[2], cells[3]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Ages are as short as kubectl's.
func TestAge(t *testing.T) {
	for since, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "90s", 3 * time.Hour: "3h", 50 * time.Hour: "2d2h", 400 * 24 * time.Hour: "400d",
	} {
		if got := age(metav1.NewTime(tableTime.Add(-since)), tableTime); got != want {
			t.Errorf("%s is %q, want %q", since, got, want)
		}
	}
}
