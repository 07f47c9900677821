package main

import (
	"io/fs"
	"strings"
	"testing"
)

// Whatever the user has set wins; without it the master of the machine is found; and where that fails one line
// says what to do.
func TestChoose(t *testing.T) {
	const master = "/var/lib/skerry/master/admin.kubeconfig"
	cases := []struct {
		name     string
		explicit bool
		env      string
		files    map[string]error // those not listed don't exist
		path     string
		problem  string
	}{
		{name: "a flag wins", explicit: true, files: map[string]error{master: nil}},
		{name: "the environment wins", env: "/elsewhere", files: map[string]error{master: nil}},
		{name: "the user's own wins", files: map[string]error{master: nil, "/home/u/.kube/config": nil}},
		{name: "the user's own wins even when it is broken", files: map[string]error{master: nil, "/home/u/.kube/config": fs.ErrPermission}},
		{name: "the master's is found", files: map[string]error{master: nil}, path: master},
		{name: "the master's may not be read", files: map[string]error{master: fs.ErrPermission}, problem: "no permission to read " + master},
		{name: "there is none", problem: "no cluster is set"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := choose(c.explicit, c.env, "/home/u", "/var/lib/skerry/master", func(path string) error {
				if err, ok := c.files[path]; ok {
					return err
				}
				return fs.ErrNotExist
			})
			if got.path != c.path {
				t.Errorf("chose %q, not %q", got.path, c.path)
			}
			if c.problem == "" && got.problem != "" || !strings.Contains(got.problem, c.problem) {
				t.Errorf("says %q, not %q", got.problem, c.problem)
			}
			if strings.Contains(got.problem, "\n") {
				t.Errorf("says more than a line: %q", got.problem)
			}
		})
	}
}

// The help speaks of edgectl, and names of files and labels stay as they are.
func TestRename(t *testing.T) {
	root := newCommand()
	if root.Name() != "edgectl" {
		t.Errorf("the root is called %s", root.Name())
	}
	get, _, err := root.Find([]string{"get"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(get.Example, "kubectl get") || !strings.Contains(get.Example, "edgectl get") {
		t.Errorf("the examples of get are %q", get.Example)
	}
	if got := kubectlWord.ReplaceAllString("kubectl.kubernetes.io/x of kubectl", "${1}edgectl${2}"); got != "kubectl.kubernetes.io/x of edgectl" {
		t.Errorf("renamed to %q", got)
	}
}
