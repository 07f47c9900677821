package apiserver

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// subresource is a path below an object.
type subresource struct {
	name  string
	of    func(*resource.Resource) bool // which resources have it
	kind  schema.GroupVersionKind       // what discovery says that it takes and shows; empty: the resource's own
	verbs []string
	lasts bool // may last as long as a watch, and takes its place among those itself
	serve func(*call) error
}

// subresources are all that are served.
var subresources = []subresource{
	{
		name:  "status",
		of:    func(r *resource.Resource) bool { return r.Status },
		verbs: []string{verbGet, verbPatch, verbUpdate},
		serve: func(c *call) error { return c.servePart(c.status()) },
	},
	{
		name:  "scale",
		of:    func(r *resource.Resource) bool { return r.Scale != nil },
		kind:  autoscalingv1.SchemeGroupVersion.WithKind("Scale"),
		verbs: []string{verbGet, verbPatch, verbUpdate},
		serve: func(c *call) error { return c.servePart(c.scale()) },
	},
	{
		name:  "binding",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		kind:  bindingKind,
		verbs: []string{verbCreate},
		serve: (*call).bind,
	},
	{
		name:  "eviction",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		kind:  evictionKind,
		verbs: []string{verbCreate},
		serve: (*call).evict,
	},
	{
		name:  "token",
		of:    func(r *resource.Resource) bool { return r == resource.ServiceAccounts },
		kind:  tokenRequestKind,
		verbs: []string{verbCreate},
		serve: (*call).accountToken,
	},
	{
		name:  "log",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		verbs: []string{verbGet},
		lasts: true,
		serve: (*call).podLog,
	},
	{
		name:  "exec",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		kind:  corev1.SchemeGroupVersion.WithKind("PodExecOptions"),
		verbs: []string{verbCreate, verbGet},
		lasts: true,
		serve: (*call).podExec,
	},
	{
		name:  "attach",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		kind:  corev1.SchemeGroupVersion.WithKind("PodAttachOptions"),
		verbs: []string{verbCreate, verbGet},
		lasts: true,
		serve: (*call).podAttach,
	},
	{
		name:  "portforward",
		of:    func(r *resource.Resource) bool { return r == resource.Pods },
		kind:  corev1.SchemeGroupVersion.WithKind("PodPortForwardOptions"),
		verbs: []string{verbCreate, verbGet},
		lasts: true,
		serve: (*call).podPortForward,
	},
}

// subresourcesOf are those of one resource.
func subresourcesOf(r *resource.Resource) []subresource {
	var subs []subresource
	for _, sub := range subresources {
		if sub.of(r) {
			subs = append(subs, sub)
		}
	}
	return subs
}

// servePart serves the verbs that read or write a part of an object.
func (c *call) servePart(p part) error {
	switch c.verb {
	case verbGet:
		return c.get(p)
	case verbUpdate:
		return c.update(p)
	case verbPatch:
		return c.patch(p)
	}
	return notAllowed()
}
