package conformance

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// acts are the parts of a session, in order.
var acts = []func(*session){
	aboutTheCluster, configuration, workload, everyForm, changes, wrongChanges, pods, logs, nodes, use, prune, rights, access, endings,
}

const probe = "skerry.test/probe:1"

// web is a deployment that runs until it is told to stop.
const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "` + probe + `", args: [sleep]}]
`

func aboutTheCluster(s *session) {
	s.says(words("version"), "Server Version", "37")
	s.refuses(words("version -o nonsense"), "--output must be 'yaml' or 'json'")
	s.addressesAnswer(s.says(words("cluster-info")))
	s.says(words("cluster-info dump"), `"kind": "NodeList"`, "ReplicationControllerList", "DaemonSetList", "PodList")
	s.refuses(words("cluster-info --nonsense"), "unknown flag")
	s.says(words("api-versions"), "apps/v1", "metrics.k8s.io/v1beta1", "authorization.k8s.io/v1")
	s.says(words("api-resources"), "deployments", "deploy", "apps/v1", "configmaps")
	s.says(words("explain pod.spec.containers.image"), "Container image name")
	s.says(words("explain deployment --recursive"), "progressDeadlineSeconds")
	s.refuses(words("explain pod.spec.nonsense"), `field "nonsense" does not exist`)
	s.refuses(words("get nonsense"), `the server doesn't have a resource type "nonsense"`)
	s.refuses(words("explain nonsense"), `the server doesn't have a resource type "nonsense"`)
	s.refuses(words("describe nonsense x"), `the server doesn't have a resource type "nonsense"`)
	s.refuses(words("api-resources --verbs=list -o nonsense"), "nonsense")
}

// addressesAnswer checks that all that cluster-info shows is there.
func (s *session) addressesAnswer(out string) {
	s.Helper()
	found := address.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		s.Errorf("cluster-info shows no address:\n%s", out)
	}
	for _, a := range found {
		path := a[1]
		if path == "" {
			path = "/version"
		}
		s.says([]string{"get", "--raw", path})
	}
}

// address is a URL of the API in what cluster-info prints, which may be coloured, and its path.
var address = regexp.MustCompile(`https://[0-9.:]+(/[-/a-z0-9:.]*)?`)

func configuration(s *session) {
	s.says(words("create configmap settings --from-literal=colour=blue"), "configmap/settings created")
	s.refuses(words("create configmap settings --from-literal=colour=blue"), `configmaps "settings" already exists`)
	s.refuses(words("create configmap Bad_Name"), "Bad_Name", "Invalid value")
	s.says(words("edit configmap settings"), "configmap/settings edited")
	s.until("green", "get", "configmap", "settings", "-o", "jsonpath={.data.colour}")
	s.refuses(words("edit configmap missing"), `configmaps "missing" not found`)
	s.says(words("create namespace site"), "namespace/site created")
	s.says(words("create configmap c -n site --from-literal=a=b"), "created")
	s.says(words("delete namespace site"), `namespace "site" deleted`)
	s.refuses(words("get configmap c -n site"), `not found`)
	s.refuses(words("create configmap c -n site"), `namespaces "site" not found`)
}

func workload(s *session) {
	apply := words("apply -f -")
	s.refusesTo(strings.Replace(web, "replicas:", "replcas:", 1), apply, `unknown field "`, `replcas`)
	s.refusesTo(strings.Replace(web, "{app: web}}\n  template", "{app: other}}\n  template", 1), apply,
		"spec.template.metadata.labels", "`selector` does not match template `labels`")
	s.refusesTo(strings.Replace(web, "terminationGracePeriodSeconds: 1", "hostPID: true", 1), apply, "spec.template.spec.hostPID", "not supported by skerry")
	s.refusesTo("{", apply, "error")
	s.saysTo(web, words("apply --dry-run=server -f -"), "created (server dry run)")
	s.refuses(words("get deployment web"), `deployments.apps "web" not found`)
	s.saysTo(web, apply, "deployment.apps/web created")
	s.saysTo(web, apply, "deployment.apps/web unchanged")
	s.says(words("rollout status deployment/web --timeout=80s"), "successfully rolled out")
	s.refuses(words("rollout status deployment/missing"), `deployments.apps "missing" not found`)

	// diff ends with 1 where there is a difference, and shows it.
	out, err := s.run(strings.Replace(web, "replicas: 2", "replicas: 5", 1), words("diff -f -")...)
	if err == nil || !strings.Contains(out, "+  replicas: 5") {
		s.Errorf("diff: %v: %s", err, out)
	}
	s.saysTo(web, words("diff -f -"))

	s.says(words("expose deployment web --port=80"), "service/web exposed")
	s.refuses(words("expose deployment web --port=80"), `services "web" already exists`)
	s.says(words("get service web"), "web", "80/TCP")
	s.says(words("delete service web"), `service "web" deleted`)
}

func everyForm(s *session) {
	get := func(rest string) []string { return words("get deployment web " + rest) }
	s.says(get(""), "NAME", "READY", "2/2")
	s.says(get("-o wide"), "CONTAINERS", "SELECTOR", "app=web")
	s.says(get("-o name"), "deployment.apps/web")
	s.says(get("-o yaml"), "kind: Deployment", "replicas: 2")
	s.says(get("-o json"), `"kind": "Deployment"`)
	s.says(get("-o jsonpath={.spec.replicas}"), "2")
	s.says(get("-o go-template={{.spec.replicas}}"), "2")
	s.says(get("-o custom-columns=N:.metadata.name"), "N\nweb")
	s.says(get("--show-labels"), "app=web")
	s.says(get("-L app"), "APP")
	s.says(words("get pods -A --sort-by=.metadata.name -l app=web"), "NAMESPACE", "default", "Running")
	s.says(words("get pods --field-selector=status.phase=Running"), "web-")
	s.says(words("get all"), "pod/web-", "replicaset.apps/web-", "deployment.apps/web")
	s.says(words("get --raw /readyz"), "ok")
	s.says(words("describe deployment web"), "ScalingReplicaSet", "2 available")
	s.says(words("get events"), "ScalingReplicaSet")
	if !s.old {
		s.says(words("events --for deployment/web"), "ScalingReplicaSet")
		s.refuses(words("events --types=nonsense"), "Normal or Warning")
	}
	s.refuses(words("get pods -o nonsense"), "nonsense")
	s.refuses(words("get pods --field-selector=spec.nonsense=x"), "field label not supported: spec.nonsense")
	s.refuses(words("get pods -l a=b=c"), "unable to parse requirement")
	s.refuses(words("describe deployment missing"), `deployments.apps "missing" not found`)
	s.refuses(words("get --raw /nonsense"), "could not find the requested resource")
}

func changes(s *session) {
	ready := words("rollout status deployment/web --timeout=80s")
	s.says(words("scale deployment/web --replicas=3"), "scaled")
	s.until("3", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	s.refuses(words("scale deployment/web --current-replicas=7 --replicas=1"), "Expected", "7")
	s.refuses(words("scale deployment/web --replicas=-1"), "replicas")
	s.refuses(words("scale configmap/settings --replicas=1"), "could not find the requested resource")
	s.says(words("set env deployment/web COLOUR=red"), "env updated")
	s.says(ready, "successfully rolled out")
	s.says(words("set resources deployment/web --limits=memory=64Mi"), "resource requirements updated")
	s.says(ready, "successfully rolled out")
	s.says(words("rollout history deployment/web"), "REVISION", "3")
	s.says(words("rollout history deployment/web --revision=2"), "COLOUR")
	s.refuses(words("rollout history deployment/web --revision=99"), "unable to find the specified revision")
	s.says(words("rollout undo deployment/web --to-revision=1"), "rolled back")
	s.says(ready, "successfully rolled out")
	s.until("", "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env}")
	s.refuses(words("rollout undo deployment/web --to-revision=99"), "unable to find specified revision 99")
	s.says(words("rollout restart deployment/web"), "restarted")
	s.says(ready, "successfully rolled out")
	s.refuses(words("rollout restart configmap/settings"), "restarting is not supported")
	s.says(words("rollout pause deployment/web"), "paused")
	s.refuses(words("rollout pause deployment/web"), "already paused")
	s.says(words("set image deployment/web main="+probe+"-b"), "image updated")
	s.says(words("rollout undo deployment/web --dry-run=client"))
	s.says(words("set image deployment/web main="+probe), "image updated")
	s.says(words("rollout resume deployment/web"), "resumed")
	s.refuses(words("set image deployment/web other=x"), `unable to find container named "other"`)

	s.says(words("label deployment/web tier=front"), "labeled")
	s.refuses(words("label deployment/web tier=back"), "'tier' already has a value", "--overwrite")
	s.refuses(words("label deployment/web tier=no%value --overwrite"), "invalid")
	s.says(words("get deployments -l tier=front -o name"), "deployment.apps/web")
	s.says(words("label deployment/web tier-"), "web ")
	s.says(words("annotate deployment/web note=hello"), "annotated")
	s.refuses(words("annotate deployment/web note=again"), "already has a value")
	s.says([]string{"patch", "deployment", "web", "--type=json", `-p=[{"op":"remove","path":"/metadata/annotations/note"}]`}, "patched")
	s.says([]string{"patch", "deployment", "web", "--type=merge", `-p={"metadata":{"labels":{"a":"b"}}}`}, "patched")
	s.says([]string{"patch", "deployment", "web", `-p={"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"b"}]}]}}}}`}, "patched")
	s.says(ready, "successfully rolled out")
	s.refuses([]string{"patch", "deployment", "web", `-p={"spec":{"replicas":-1}}`}, "spec.replicas: Invalid value")
	s.refuses([]string{"patch", "deployment", "web", "--type=json", `-p=[{"op":"remove","path":"/nonsense"}]`}, "The request is invalid")
	s.refuses([]string{"patch", "deployment", "missing", `-p={}`}, `"missing" not found`)
}

func wrongChanges(s *session) {
	missing := `deployments.apps "missing" not found`
	for _, line := range []string{
		"scale deployment/missing --replicas=2", "rollout history deployment/missing", "rollout undo deployment/missing",
		"rollout restart deployment/missing", "set image deployment/missing main=x", "set env deployment/missing A=b",
		"label deployment missing a=b", "annotate deployment missing a=b", "autoscale deployment missing --max=3",
		"expose deployment missing --port=80", "edit deployment missing", "logs deployment/missing",
	} {
		s.refuses(words(line), missing)
	}
	s.refuses(words("autoscale deployment web --max=3"), "skerry has no autoscaler; set the number of replicas with scale")
	s.refuses(words("autoscale deployment web"), `required flag(s) "max" not set`)
	s.refuses(words("scale deployment web"), `required flag(s) "replicas" not set`)
	s.refuses(words("set image deployment/web"), "at least one image update is required")
	s.refuses(words("set resources deployment/web --limits=cpu=abc"), "quantities must match")
	s.refuses(words("rollout status pod/x"), `"x" not found`)
	s.refuses(words("annotate deployment web a/b/c=d"), "metadata.annotations: Invalid value", "a/b/c")
	s.refuses(words("patch deployment web -p={"), "invalid JSON document")
	s.refuses(words("patch deployment web"), "must specify --patch")
	s.refuses(words("patch deployment web --type=json -p={}"), "cannot unmarshal object")
	s.refuses([]string{"patch", "deployment", "web", `-p={"spec":{"replicas":"x"}}`}, "cannot unmarshal string", "spec.replicas")
	s.refuses(words("create deployment web --image=x"), `deployments.apps "web" already exists`)
	s.refuses(words("create -f /no/such.yaml"), "/no/such.yaml", "does not exist")
	s.refuses(words("get pods -o jsonpath={.items["), "unterminated array")
	s.refuses(words("get pods -o custom-columns=x"), "unexpected custom-columns spec: x")
}

func pods(s *session) {
	s.says(words("run one --image="+probe+" --restart=Never -- print hello there"), "pod/one created")
	s.refuses(words("run one --image="+probe), `pods "one" already exists`)
	s.refuses(words("run two"), "image")
	s.refuses(words("run two --image=UPPER:1"), "UPPER:1", "invalid reference format")
	s.refuses(words("run Two --image="+probe), "Two", "Invalid value")
	s.watches(func() { s.says(words("run watched --image="+probe+" -- sleep"), "created") },
		words("get pods -w"), "watched", "Running")
	s.says(words("wait --for=condition=Ready pod/watched --timeout=60s"), "condition met")
	s.refuses(words("wait --for=condition=Ready pod/missing --timeout=5s"), `pods "missing" not found`)
	s.refuses(words("wait --for=condition=Nonsense pod/watched --timeout=1s"), "timed out waiting for the condition on pods/watched")
	s.refuses(words("wait --for=nonsense pod/watched"), "unrecognized condition")
	described := s.says(words("describe pod watched"), "watched", "QoS Class")
	for last, reason := 0, 0; reason < 4; reason++ { // within one second, and yet in their order
		at := strings.LastIndex(described, []string{"Scheduled ", "Pulled ", "Created ", "Started "}[reason])
		if at < last {
			s.Errorf("the events of watched are not in their order:\n%s", described)
		}
		last = at
	}
	s.refuses(words("describe pod missing"), `pods "missing" not found`)
	s.says(words("exec watched -- /probe print hello"), "hello")
	s.refuses(words("exec watched -- /probe exit 3"), "exit code 3")
	s.refuses(words("exec watched -- /no/such"), "/no/such", "no such file")
	s.refuses(words("exec watched"), "at least one command")
	s.refuses(words("exec watched -c other -- ls"), "container other is not valid for pod watched")
	s.refuses(words("exec missing -- ls"), `pods "missing" not found`)
	s.refuses(words("port-forward missing 80"), `pods "missing" not found`)
	s.refuses(words("attach missing"), `pods "missing" not found`)
}

func logs(s *session) {
	s.says(words("run talks --image="+probe+" --restart=Never -- lines 40 50ms stdout"), "pod/talks created")
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("line %d\n", i+1))
	}
	from := func(i int) string { return strings.Join(lines[i:], "") }
	s.goesThrough("logs", "talks")
	s.prints(from(0), "logs", "-f", "talks") // ends by itself
	s.until("Succeeded", "get", "pod", "talks", "-o", "jsonpath={.status.phase}")
	s.prints(from(0), "logs", "talks")
	s.prints(from(0), "logs", "-f", "talks")
	s.prints(from(0), "logs", "pod/talks", "-c", "talks", "--since=1h")
	s.prints(from(37), "logs", "talks", "--tail=3")
	s.prints("", "logs", "talks", "--tail=0")
	s.prints(lines[0], "logs", "talks", "--limit-bytes=7")
	s.prints(from(30), "logs", "-l", "run=talks")
	s.prints("", "logs", "talks", "--since-time="+time.Now().Add(time.Hour).Format(time.RFC3339))
	stamp, text, _ := strings.Cut(s.says(words("logs talks --tail=1 --timestamps")), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != lines[39] {
		s.Errorf("logs --timestamps: %q %q", stamp, text)
	}

	s.says(words("run again --image="+probe+" -- lines 2"), "pod/again created")
	s.goesThrough("logs", "again", "--previous")
	s.prints(lines[0]+lines[1], "logs", "again", "--previous")

	s.says(words("run endless --image="+probe+" -- lines 0 50ms"), "pod/endless created")
	s.goesThrough("logs", "endless")
	s.follows(words("logs -f endless"), "line 5\n", func() { // ends with its pod
		s.says(words("delete pod endless talks again watched --grace-period=1"), `pod "endless"`)
	})

	s.refuses(words("logs missing"), `pods "missing" not found`)
	s.refuses(words("logs -f missing"), `pods "missing" not found`)
	s.refuses(words("logs one -c other"), "container other is not valid for pod one")
	s.refuses(words("logs one --previous"), "previous terminated container")
	s.refuses(words("logs one --tail=-5"), "--tail must be greater than or equal to -1")
	s.refuses(words("logs one --since=-1h"), "--since must be greater than 0")
	s.refuses(words("logs one --since-time=nonsense"), "nonsense")
	s.says(words("delete pod one"), `pod "one"`)
	s.refuses(words("delete pod one"), `pods "one" not found`)
	s.refuses(words("logs one"), `pods "one" not found`)
}

func nodes(s *session) {
	s.says(words("describe node node-1"), "Capacity", "Allocated resources")
	s.until("2", "get", "nodes.metrics.k8s.io", "--no-headers", "-o", "go-template={{len .items}}")
	s.says(words("top node"), "CPU(cores)", "MEMORY(bytes)", "node-1", "node-2", "%")
	s.says(words("top node node-1"), "node-1")
	s.refuses(words("top node missing"), `"missing" not found`)
	s.refuses(words("describe node missing"), `nodes "missing" not found`)
	s.says(words("cordon node-1"), "cordoned")
	s.says(words("get node node-1"), "SchedulingDisabled")
	s.says(words("uncordon node-1"), "uncordoned")
	s.refuses(words("cordon missing"), `nodes "missing" not found`)
	s.says(words("taint node node-1 dedicated=db:NoSchedule"), "tainted")
	s.refuses(words("taint node node-1 dedicated=db:Nonsense"), "Nonsense")
	s.refuses(words("taint node node-1 dedicated=other:NoSchedule"), "already has dedicated taint")
	s.says(words("taint node node-1 dedicated-"), "untainted")

	s.says(words("run bare --image="+probe+" -- sleep"), "created")
	s.says(words("wait --for=condition=Ready pod/bare --timeout=60s"), "condition met")
	node := s.says(words("get pod bare -o jsonpath={.spec.nodeName}"))
	s.refuses(words("drain "+node+" --timeout=60s"), "cannot delete", "(use --force to override)", "default/bare")
	s.says(words("drain "+node+" --force --grace-period=1 --timeout=80s"), "pod/bare evicted")
	s.until("", "get", "pods", "--field-selector=spec.nodeName="+node, "-o", "name")
	s.refuses(words("drain missing"), `nodes "missing" not found`)
	s.says(words("uncordon "+node), "uncordoned")
}

// user is a pod of two containers, one of which is busy, and one that holds memory.
const user = `
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {uses: cpu}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: spin, image: "` + probe + `", args: [spin], resources: {limits: {cpu: 200m}}}
  - {name: idle, image: "` + probe + `", args: [sleep]}
---
apiVersion: v1
kind: Pod
metadata: {name: large, labels: {uses: memory}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "` + probe + `", args: [eat, "64"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: over, labels: {uses: nothing}}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "` + probe + `", args: [exit, "0"]}]
`

func use(s *session) {
	s.saysTo(user, words("apply -f -"), "pod/busy created")
	s.says(words("create namespace site"), "created")
	s.says(words("run other -n site --image="+probe+" -- sleep"), "created")
	s.until("Succeeded", "get", "pod", "over", "-o", "jsonpath={.status.phase}")
	s.until("spin idle", "get", "pods.metrics.k8s.io", "busy", "-o", "jsonpath={.containers[*].name}")
	s.until("large", "get", "pods.metrics.k8s.io", "-l", "uses=memory", "-o", "jsonpath={.items[*].metadata.name}")
	s.until("other", "get", "pods.metrics.k8s.io", "-n", "site", "-o", "jsonpath={.items[*].metadata.name}")
	s.says(words("top pod"), "NAME", "CPU(cores)", "MEMORY(bytes)", "busy", "large")
	s.says(words("top pod --containers"), "POD", "NAME", "spin", "idle", "main")
	s.says(words("top pod -A"), "NAMESPACE", "default", "site", "other")
	s.says(words("top pod busy"), "busy")
	s.says(words("top pods busy --containers --no-headers"), "busy   spin")
	for _, order := range []struct{ by, first, second string }{{"cpu", "busy", "large"}, {"memory", "large", "busy"}} {
		out := s.says(words("top pod --no-headers --sort-by="+order.by), order.first, order.second)
		if strings.Index(out, order.first) > strings.Index(out, order.second) {
			s.Errorf("top pod --sort-by=%s:\n%s", order.by, out)
		}
	}
	if out := s.says(words("top pod -l uses=cpu --no-headers"), "busy"); strings.Contains(out, "large") {
		s.Errorf("top pod -l uses=cpu:\n%s", out)
	}
	s.says(words("top pod -l uses=none"), "No resources found")
	s.refuses(words("top pod missing"), `pods "missing" not found`)
	s.refuses(words("top pod over"), "there are no metrics of pod over: none of its containers runs")
	s.refuses(words("top pod --sort-by=nonsense"), "accepts only cpu or memory")
	s.refuses(words("top pod -l a=b=c"), "found '='")
	s.refuses(words("top nonsense"), "unknown command")
	s.refuses(words("get pods.metrics.k8s.io --field-selector=spec.nonsense=x"), "field label not supported: spec.nonsense")
	s.refuses(words("delete pods.metrics.k8s.io busy"), "the server does not allow this method on the requested resource")
	s.says(words("delete pod busy large over"), "busy")
	s.says(words("delete namespace site"), "deleted")
}

func prune(s *session) {
	two := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stays, labels: {set: p}}\n---\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: goes, labels: {set: p}}\n"
	apply := words("apply --prune -l set=p --prune-whitelist=core/v1/ConfigMap -f -")
	if !s.old {
		apply = words("apply --prune -l set=p --prune-allowlist=core/v1/ConfigMap -f -")
	}
	s.saysTo(two, apply, "configmap/stays created", "configmap/goes created")
	s.saysTo(two[:strings.Index(two, "---")], apply, "configmap/stays unchanged", "configmap/goes pruned")
	s.refuses(words("get configmap goes"), `configmaps "goes" not found`)
	s.refusesTo(two, words("apply --prune -f -"), "all", "selector")
}

func rights(s *session) {
	s.says(words("auth can-i delete nodes"), "yes")
	s.says(words("auth can-i create pods/eviction -n default"), "yes")
	s.says(words("auth can-i --list"), "*.*")
	s.refuses(words("auth can-i"), "you must specify")
	if !s.old {
		s.says(words("auth whoami"), "skerry:admins")
	}
}

func endings(s *session) {
	s.saysTo(web, words("delete -f - --dry-run=server"), "deleted")
	s.says(words("delete deployment web --wait=true --timeout=60s"), `deployment.apps "web" deleted`)
	s.until("", "get", "pods,replicasets", "-l", "app=web", "-o", "name")
	s.refuses(words("delete deployment web"), `deployments.apps "web" not found`)
	s.says(words("delete deployment web --ignore-not-found"))
	s.says(words("delete configmaps --all"), "settings", "stays")
	s.refuses(words("delete namespace default"), "may not be deleted")
	s.refuses(words("delete pods"), "resource")
}
