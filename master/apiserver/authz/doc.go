// Package authz decides what a user may do, as Kubernetes' RBAC does: by Roles and ClusterRoles, and the bindings that
// give them to users, groups and service accounts.
//
//	view ─► Policy (grants by subject) ─► Authorize(attributes) ─► yes, with the binding that says so, or no
//	                                   └► Covers(rules) ─► what of these rights the user does not hold
//
// It is pure. A Policy is made when an object of RBAC has changed, and serves until the next one does. Two groups may
// do everything whatever the objects say, so that nobody locks a cluster's owner out: system:masters, as in Kubernetes,
// and skerry:admins, which the kubeconfig of a new cluster belongs to. Rules only ever allow; what no rule allows is
// refused. A rule costs memory once, however many bindings and subjects have it.
package authz
