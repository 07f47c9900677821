package resource

// podSpecFields are the fields of a pod's spec that Skerry acts upon, or whose default it shares. Whoever adds a
// feature to the agent adds its fields here.
func podSpecFields() *allowed {
	fields := allow(
		"restartPolicy", "terminationGracePeriodSeconds",
		"nodeName", "nodeSelector", "tolerations",
		"hostNetwork", "hostname", "hostAliases",
		"securityContext.runAsUser", "securityContext.runAsGroup", "securityContext.runAsNonRoot",
		"securityContext.supplementalGroups", "securityContext.supplementalGroupsPolicy=Merge",
		"securityContext.fsGroup", "securityContext.fsGroupChangePolicy", // which no volume here makes a difference for
		"securityContext.seccompProfile.type=RuntimeDefault|Unconfined",
		"securityContext.sysctls.name", "securityContext.sysctls.value",

		"volumes.name", "volumes.emptyDir.medium=Memory", "volumes.emptyDir.sizeLimit",
		"volumes.hostPath",
		"volumes.configMap.name", "volumes.configMap.items", "volumes.configMap.defaultMode", "volumes.configMap.optional",
		"volumes.secret.secretName", "volumes.secret.items", "volumes.secret.defaultMode", "volumes.secret.optional",
		"volumes.downwardAPI.defaultMode", "volumes.downwardAPI.items.path", "volumes.downwardAPI.items.mode",
		"volumes.downwardAPI.items.fieldRef",
		"volumes.projected.defaultMode", "volumes.projected.sources.configMap", "volumes.projected.sources.secret",
		"volumes.projected.sources.downwardAPI.items.path", "volumes.projected.sources.downwardAPI.items.mode",
		"volumes.projected.sources.downwardAPI.items.fieldRef",

		"affinity={}", "automountServiceAccountToken=false", "dnsPolicy=ClusterFirst|Default",
		"enableServiceLinks", "hostUsers=true", "os.name=linux",
		"preemptionPolicy=PreemptLowerPriority", "priority=0", "schedulerName=default-scheduler",
		"serviceAccount", "serviceAccountName", "setHostnameAsFQDN=false",
		"shareProcessNamespace=false",
	)
	initial := containerFields()
	initial.child("restartPolicy").values = []string{"Always"}
	return fields.with("containers", containerFields()).with("initContainers", initial)
}

// containerFields are those of containers and init containers alike; what an init container may not have though
// Skerry acts upon it is refused by validation.
func containerFields() *allowed {
	return allow(
		"name", "image", "imagePullPolicy", "command", "args", "workingDir",
		"env.name", "env.value",
		"env.valueFrom.configMapKeyRef", "env.valueFrom.secretKeyRef", "env.valueFrom.fieldRef",
		"envFrom.prefix", "envFrom.configMapRef", "envFrom.secretRef",
		"ports.name", "ports.containerPort", "ports.protocol",
		"ports.hostPort", "ports.hostIP",
		"resources.limits.cpu", "resources.limits.memory", "resources.requests.cpu", "resources.requests.memory",
		"securityContext.runAsUser", "securityContext.runAsGroup",
		"securityContext.runAsNonRoot", "securityContext.privileged",
		"securityContext.seccompProfile.type=RuntimeDefault|Unconfined",
		"securityContext.readOnlyRootFilesystem",
		"securityContext.allowPrivilegeEscalation",
		"securityContext.capabilities", "securityContext.procMount=Default",
		"terminationMessagePath=/dev/termination-log",
		"terminationMessagePolicy=File",
		"volumeMounts.name", "volumeMounts.mountPath", "volumeMounts.subPath", "volumeMounts.readOnly",
		"volumeMounts.mountPropagation=None", "volumeMounts.recursiveReadOnly=Disabled",
		"lifecycle.postStart.exec", "lifecycle.postStart.httpGet", "lifecycle.postStart.sleep",
		"lifecycle.preStop.exec", "lifecycle.preStop.httpGet", "lifecycle.preStop.sleep",
	).with("livenessProbe", probeFields()).with("readinessProbe", probeFields()).with("startupProbe", probeFields())
}

func probeFields() *allowed {
	return allow("exec", "httpGet", "tcpSocket", "initialDelaySeconds", "timeoutSeconds", "periodSeconds",
		"successThreshold", "failureThreshold", "terminationGracePeriodSeconds")
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
