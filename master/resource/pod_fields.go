package resource

// podSpecFields are the fields of a pod's spec that Skerry acts upon, or whose default it shares. Whoever adds a
// feature to the agent adds its fields here.
func podSpecFields() *allowed {
	return allow(
		"containers.name", "containers.image", "containers.imagePullPolicy",
		"containers.command", "containers.args", "containers.workingDir",
		"containers.env.name", "containers.env.value",
		"containers.env.valueFrom.configMapKeyRef", "containers.env.valueFrom.fieldRef",
		"containers.envFrom.prefix", "containers.envFrom.configMapRef",
		"containers.ports.name", "containers.ports.containerPort", "containers.ports.protocol",
		"containers.ports.hostPort", "containers.ports.hostIP",
		"containers.resources.limits.cpu", "containers.resources.limits.memory",
		"containers.resources.requests.cpu", "containers.resources.requests.memory",
		"containers.securityContext.runAsUser", "containers.securityContext.runAsGroup",
		"containers.securityContext.runAsNonRoot=false", "containers.securityContext.privileged",
		"containers.securityContext.readOnlyRootFilesystem",
		"containers.securityContext.allowPrivilegeEscalation",
		"containers.securityContext.capabilities", "containers.securityContext.procMount=Default",
		"containers.terminationMessagePath=/dev/termination-log",
		"containers.terminationMessagePolicy=File",

		"restartPolicy", "terminationGracePeriodSeconds",
		"nodeName", "nodeSelector", "tolerations",
		"hostNetwork", "hostname",
		"securityContext.runAsUser", "securityContext.runAsGroup", "securityContext.runAsNonRoot=false",

		"volumes.name", // a volume of any kind is refused by the name of its kind

		"affinity={}", "automountServiceAccountToken=false", "dnsPolicy=ClusterFirst|Default",
		"enableServiceLinks", "hostUsers=true", "os.name=linux",
		"preemptionPolicy=PreemptLowerPriority", "priority=0", "schedulerName=default-scheduler",
		"serviceAccount=default", "serviceAccountName=default", "setHostnameAsFQDN=false",
		"shareProcessNamespace=false",
	)
}

// The fields of whole objects. Metadata and status are Kubernetes' own; the spec is Skerry's choice.
var (
	podFields = allow("metadata", "status").with("spec", podSpecFields())

	deploymentFields = allow("metadata", "status", "spec.replicas", "spec.selector", "spec.strategy",
		"spec.minReadySeconds", "spec.revisionHistoryLimit", "spec.paused", "spec.progressDeadlineSeconds",
		"spec.template.metadata").with("spec.template.spec", podSpecFields())

	replicaSetFields = allow("metadata", "status", "spec.replicas", "spec.selector", "spec.minReadySeconds",
		"spec.template.metadata").with("spec.template.spec", podSpecFields())
)
