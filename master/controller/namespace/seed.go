package namespace

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// seeded are the namespaces that every cluster has. Of the privileged ones an administrator may take the label
// away: it is given once.
var seeded = []struct {
	name       string
	privileged bool
}{
	{metav1.NamespaceDefault, true},
	{metav1.NamespaceSystem, true},
	{metav1.NamespacePublic, false},
	{corev1.NamespaceNodeLease, false},
}

// Seed returns the writes that make what every cluster has and the view lacks: the usual namespaces, and the
// service that tells clients of the API, which listens at port. No write of it replaces
// anything. It is for the start of a master.
func Seed(view change.View, now clock.Now, port int32) []change.Change {
	g := resource.NewGroup(view, now.Wall)
	put := func(r *resource.Resource, o resource.Object) {
		if _, exists := view.Get(r.Key(o.GetNamespace(), o.GetName())); exists {
			return
		}
		o.SetUID(resource.DeriveUID(string(r.Kind) + " " + o.GetName() + " " + view.Rev().String()))
		o.SetCreationTimestamp(metav1.NewTime(now.Wall.Truncate(time.Second)))
		r.Default(o)
		r.PrepareCreate(o)
		g.Put(r, o, 0, "every cluster has it")
	}
	for _, s := range seeded {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}
		if s.privileged {
			ns.Labels = map[string]string{resource.PrivilegedLabel: resource.PrivilegedLevel}
		}
		put(resource.Namespaces, ns)
	}
	put(resource.Services, service(metav1.NamespaceDefault, "kubernetes", port, map[string]string{
		"component": "apiserver", "provider": "kubernetes",
	}))
	return g.Changes()
}

// service is one without an address of its own and without pods: clients reach the API at the master.
func service(namespace, name string, port int32, labels map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Ports: []corev1.ServicePort{{
				Name: "https", Port: port, TargetPort: intstr.FromInt32(port), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
}
