package conformance

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// user makes a kubeconfig with a certificate of the cluster's authority, and returns the flag that names it.
func (s *session) user(name string, groups ...string) string {
	s.Helper()
	fail := func(err error) {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
	}
	identity, err := os.ReadFile(filepath.Join(s.master.DataDir, "cluster.pem"))
	fail(err)
	var blocks []*pem.Block
	for block, rest := pem.Decode(identity); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[2].Bytes)
	fail(err)
	certificate, err := x509.ParseCertificate(blocks[3].Bytes)
	fail(err)
	authority, err := ca.Load(certificate, key)
	fail(err)
	issued, err := authority.Client(rand.Reader, name, groups, time.Now())
	fail(err)
	own, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	fail(err)
	config, err := clientcmd.LoadFromFile(filepath.Join(s.master.DataDir, "admin.kubeconfig"))
	fail(err)
	for _, auth := range config.AuthInfos {
		auth.ClientCertificateData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})
		auth.ClientKeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: own})
	}
	path := filepath.Join(s.TempDir(), name+".kubeconfig")
	fail(clientcmd.WriteToFile(*config, path))
	return "--kubeconfig=" + path
}

// access: who may do what. The deployment web runs in the namespace default.
func access(s *session) {
	viewer, editor := s.user("vera", "skerry:viewers"), s.user("ed")
	as := func(user, command string) []string { return append([]string{user}, words(command)...) }
	pod := s.says(words("get pods -l app=web -o jsonpath={.items[0].metadata.name}"))

	s.says(as(viewer, "get pods"), "web-")
	s.says(as(viewer, "get nodes"), "node-1")
	s.says(as(viewer, "top nodes"), "node-1")
	s.says(as(viewer, "describe pod "+pod), "Node:")
	s.says(as(viewer, "logs "+pod))
	s.says(as(viewer, "api-resources"), "clusterroles", "serviceaccounts", "sa")
	s.says(as(viewer, "auth can-i --list"), "pods", "selfsubjectaccessreviews.authorization.k8s.io", "[get list watch]")
	s.says(as(viewer, "auth can-i list pods"), "yes")
	s.refuses(as(viewer, "auth can-i create pods"), "no")
	s.refuses(as(viewer, "get secrets"), `secrets is forbidden: User "vera" cannot list resource "secrets" in API group "" in the namespace "default"`)
	s.refuses(as(viewer, "delete pod "+pod), `cannot delete resource "pods"`)
	s.refuses(as(viewer, "exec "+pod+" -- true"), `resource "pods/exec" in API group "" in the namespace "default"`)
	s.refuses(as(viewer, "create clusterrolebinding mine --clusterrole=cluster-admin --user=vera"), `cannot create resource "clusterrolebindings"`)
	s.refuses(as(viewer, "get pods --as=skerry-admin"), "impersonation is not supported by skerry")

	// One who edits in one namespace does so there alone.
	s.says(words("create namespace team"), "created")
	s.refuses(as(editor, "get pods -n team"), `User "ed" cannot list resource "pods" in API group "" in the namespace "team"`)
	s.says(words("create rolebinding ed -n team --clusterrole=edit --user=ed"), "rolebinding.rbac.authorization.k8s.io/ed created")
	s.says(as(editor, "create configmap c -n team --from-literal=a=b"), "created")
	s.says(as(editor, "create secret generic s -n team --from-literal=a=b"), "created")
	s.refuses(as(editor, "create configmap c --from-literal=a=b"), `in the namespace "default"`)
	s.refuses(as(editor, "create rolebinding mine -n team --clusterrole=admin --user=ed"), `cannot create resource "rolebindings"`)
	s.refuses(as(editor, "get nodes"), `nodes is forbidden`, "at the cluster scope")

	// An admin of a namespace gives away what they hold, and no more.
	admin := s.user("adam")
	s.says(words("create rolebinding adam -n team --clusterrole=admin --user=adam"), "created")
	s.says(as(admin, "create role readers -n team --verb=get,list --resource=pods,pods/log"), "role.rbac.authorization.k8s.io/readers created")
	s.says(as(admin, "create rolebinding readers -n team --role=readers --serviceaccount=team:default"), "created")
	s.refuses(as(admin, "create role nodes -n team --verb=get --resource=nodes"), "is attempting to grant RBAC permissions not currently held",
		`{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}`)
	s.refuses(as(admin, "create rolebinding all -n team --clusterrole=cluster-admin --user=adam"), "is attempting to grant RBAC permissions not currently held")

	// The kinds themselves.
	s.says(words("create clusterrole pod-reader --verb=get,list,watch --resource=pods"), "clusterrole.rbac.authorization.k8s.io/pod-reader created")
	s.says(words("describe clusterrole pod-reader"), "pods", "[get list watch]")
	s.says(words("describe clusterrole view"), "deployments.apps/scale")
	s.says(words("create clusterrolebinding pod-readers --clusterrole=pod-reader --group=readers"), "created")
	s.says(words("get clusterrolebindings -o wide"), "pod-readers", "ClusterRole/pod-reader", "readers")
	s.says(words("describe rolebinding ed -n team"), "ClusterRole", "edit", "User")
	s.says(words("get role,rolebinding -n team"), "readers", "Role/readers")
	s.says(words("create serviceaccount robot -n team"), "serviceaccount/robot created")
	s.says(words("get serviceaccounts -n team"), "default", "robot")
	s.says(words("describe serviceaccount robot -n team"), "robot")
	const reconciled = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pod-reader}
rules: [{apiGroups: [""], resources: [pods, services], verbs: [get, list, watch]}]
`
	s.saysTo(reconciled, words("auth reconcile -f -"), "pod-reader", "reconciled")
	s.says(words("describe clusterrole pod-reader"), "services")
	s.saysTo(strings.Replace(reconciled, "pod-reader", "fresh", 1), words("auth reconcile -f -"), "reconciled")
	s.refusesTo(`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "pod-readers"},
		"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}`, words("replace -f -"), "cannot change roleRef")

	// A role with a label becomes part of view, and so of what a viewer may do.
	s.refuses(as(viewer, "get roles -n team"), "forbidden")
	s.says(words("create clusterrole role-reader --verb=get,list --resource=roles.rbac.authorization.k8s.io"), "created")
	s.says(words("label clusterrole role-reader rbac.authorization.k8s.io/aggregate-to-view=true"), "labeled")
	s.goesThrough(as(viewer, "get roles -n team")...)
	s.says(words("delete clusterrole role-reader pod-reader fresh"), "deleted")
	s.says(words("delete clusterrolebinding pod-readers"), "deleted")
	s.says(words("delete namespace team"), "deleted")
}
