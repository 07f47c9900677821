package conformance

import "strings"

// acts are the parts of a session, in order.
var acts = []func(*session){
	aboutTheCluster, configuration, workload, everyForm, changes, podsAndLogs, nodes, prune, rights, endings,
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
	s.says(words("cluster-info"), "is running at")
	s.says(words("api-versions"), "apps/v1", "metrics.k8s.io/v1beta1", "authorization.k8s.io/v1")
	s.says(words("api-resources"), "deployments", "deploy", "apps/v1", "configmaps")
	s.says(words("explain pod.spec.containers.image"), "Container image name")
	s.says(words("explain deployment --recursive"), "progressDeadlineSeconds")
	s.refuses(words("explain pod.spec.nonsense"), `field "nonsense" does not exist`)
	s.refuses(words("get nonsense"), `the server doesn't have a resource type "nonsense"`)
	s.refuses(words("api-resources --verbs=list -o nonsense"), "nonsense")
}

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

func podsAndLogs(s *session) {
	s.says(words("run one --image="+probe+" -- logs 3"), "pod/one created")
	s.refuses(words("run one --image="+probe), `pods "one" already exists`)
	s.refuses(words("run two"), "image")
	s.refuses(words("run Two --image="+probe), "Two", "Invalid value")
	s.watches(func() { s.says(words("run watched --image="+probe+" -- sleep"), "created") },
		words("get pods -w"), "watched", "Running")
	s.says(words("wait --for=condition=Ready pod/watched --timeout=60s"), "condition met")
	s.refuses(words("wait --for=condition=Ready pod/missing --timeout=5s"), `pods "missing" not found`)
	s.refuses(words("wait --for=condition=Nonsense pod/watched --timeout=1s"), "timed out")
	s.says(words("describe pod watched"), "Started", "watched", "QoS Class")
	s.refuses(words("logs missing"), `pods "missing" not found`)
	s.refuses(words("logs watched -c other"), "container other is not valid for pod watched")
	s.says(words("logs watched --tail=1 --timestamps --since=1h"))
	s.refuses(words("logs watched --previous"), "previous terminated container")
	s.says(words("delete pod one watched --grace-period=1"), `pod "one"`, `pod "watched"`)
	s.refuses(words("delete pod one"), `pods "one" not found`)
}

func nodes(s *session) {
	s.says(words("describe node node-1"), "Capacity", "Allocated resources")
	s.until("2", "get", "nodes.metrics.k8s.io", "--no-headers", "-o", "go-template={{len .items}}")
	s.says(words("top node"), "CPU(cores)", "MEMORY(bytes)", "node-1", "node-2", "%")
	s.says(words("top node node-1"), "node-1")
	s.refuses(words("top node missing"), `"missing" not found`)
	s.refuses(words("top pod"), "could not find the requested resource")
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
