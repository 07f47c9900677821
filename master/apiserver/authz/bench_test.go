package authz

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/rbac"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
)

// BenchmarkAuthorize refuses a user who is given the role edit, and has 20 bindings that would have to allow it: the
// worst case. It is to stay below 10 µs.
func BenchmarkAuthorize(b *testing.B) {
	w := plantest.New(b)
	w.Commit(rbac.Seed(w.Store.View(), w.Now)...)
	u := User{Name: "ann", Groups: []string{GroupAuthenticated}}
	for i := range 20 {
		w.Put(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: fmt.Sprint("b", i)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "ann"}},
		})
	}
	for i := range 1000 { // of others
		w.Put(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: fmt.Sprint("o", i)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: fmt.Sprint("user", i)}},
		})
	}
	p, problems := New(w.Store.View())
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for _, text := range []string{"create rolebindings.rbac.authorization.k8s.io dev", "delete pods/status dev/x", "create pods dev"} {
		b.Run(strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
			a := parse(text)
			for b.Loop() {
				p.Authorize(u, a)
			}
		})
	}
	b.Run("New", func(b *testing.B) {
		view := w.Store.View()
		for b.Loop() {
			New(view)
		}
	})
}
