package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of what Skerry adds to Kubernetes' defaults.
const (
	groupAdmins  = "skerry:admins"  // may do everything; the kubeconfig of a new cluster is in it
	groupViewers = "skerry:viewers" // may read everything but Secrets
	roleViewer   = "skerry:viewer"  // what of a cluster the role view does not show
)

// Labels that make a role part of an aggregated one, followed by its name.
const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

var (
	reading   = []string{"get", "list", "watch"}
	changing  = []string{"create", "delete", "deletecollection", "patch", "update"}
	readWrite = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	anything  = []string{"*"}
)

// on is a rule about resources of one group.
func on(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

// at is a rule about paths.
func at(verbs []string, paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: paths}
}

// role is a default role with its own rules, part of the aggregated roles that are named.
func role(name string, partOf []string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{ObjectMeta: meta(name), Rules: rules}
	for _, whole := range partOf {
		r.Labels[aggregateTo+whole] = "true"
	}
	return r
}

// aggregated is a default role that others are parts of.
func aggregated(name string, partOf ...string) *rbacv1.ClusterRole {
	r := role(name, partOf)
	r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchLabels: map[string]string{aggregateTo + name: "true"}},
	}}
	return r
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// roles are the default roles: Kubernetes' (plugin/pkg/auth/authorizer/rbac/bootstrappolicy) as far as they are for
// people, metrics-server's, and Skerry's own. They name kinds that Skerry does not serve, so that what is added
// later is in them on every cluster.
func roles() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		role("cluster-admin", nil, on(anything, "*", "*"), at(anything, "*")),
		aggregated("admin"),
		aggregated("edit", "admin"),
		aggregated("view", "edit"),
		role("system:aggregate-to-admin", []string{"admin"},
			on([]string{"create"}, "authorization.k8s.io", "localsubjectaccessreviews"),
			on(readWrite, "rbac.authorization.k8s.io", "rolebindings", "roles"),
		),
		role("system:aggregate-to-edit", []string{"edit"},
			on(reading, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
			on([]string{"impersonate"}, "", "serviceaccounts"),
			on(changing, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
			on([]string{"create"}, "", "pods/eviction"),
			on(changing, "", "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
				"replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy"),
			on([]string{"create"}, "", "serviceaccounts/token"),
			on(changing, "apps", "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets",
				"replicasets/scale", "statefulsets", "statefulsets/scale"),
			on(changing, "autoscaling", "horizontalpodautoscalers"),
			on(changing, "batch", "cronjobs", "jobs"),
			on(changing, "policy", "poddisruptionbudgets"),
			on(changing, "networking.k8s.io", "ingresses", "networkpolicies"),
			on(readWrite, "coordination.k8s.io", "leases"),
		),
		role("system:aggregate-to-view", []string{"view"},
			on(reading, "", "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
				"replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status"),
			on(reading, "", "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
				"replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
			on(reading, "", "namespaces"),
			on(reading, "discovery.k8s.io", "endpointslices"),
			on(reading, "apps", "controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
				"deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
				"statefulsets/scale", "statefulsets/status"),
			on(reading, "autoscaling", "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
			on(reading, "batch", "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
			on(reading, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
			on(reading, "networking.k8s.io", "ingresses", "ingresses/status", "networkpolicies"),
		),
		role("system:aggregated-metrics-reader", []string{"view", "edit", "admin"},
			on(reading, "metrics.k8s.io", "nodes", "pods")),
		role("system:basic-user", nil,
			on([]string{"create"}, "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			on([]string{"create"}, "authentication.k8s.io", "selfsubjectreviews"),
		),
		role("system:discovery", nil, at([]string{"get"}, "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez",
			"/openapi", "/openapi/*", "/readyz", "/version", "/version/")),
		role("system:public-info-viewer", nil, at([]string{"get"}, "/healthz", "/livez", "/readyz", "/version", "/version/")),
		role("system:auth-delegator", nil,
			on([]string{"create"}, "authentication.k8s.io", "tokenreviews"),
			on([]string{"create"}, "authorization.k8s.io", "subjectaccessreviews"),
		),
		role(roleViewer, nil,
			on(reading, "", "nodes", "nodes/status"),
			on(reading, "coordination.k8s.io", "leases"),
			on(reading, "events.k8s.io", "events"),
		),
	}
}

// bindings are the default bindings.
func bindings() []*rbacv1.ClusterRoleBinding {
	return []*rbacv1.ClusterRoleBinding{
		binding("cluster-admin", "cluster-admin", "system:masters"),
		binding("system:basic-user", "system:basic-user", "system:authenticated"),
		binding("system:discovery", "system:discovery", "system:authenticated"),
		binding("system:public-info-viewer", "system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
		binding(groupAdmins, "cluster-admin", groupAdmins),
		binding(groupViewers, "view", groupViewers),
		binding(groupViewers+":cluster", roleViewer, groupViewers),
	}
}

// binding gives a role to groups.
func binding(name, role string, groups ...string) *rbacv1.ClusterRoleBinding {
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta(name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
	for _, g := range groups {
		b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: g})
	}
	return b
}
