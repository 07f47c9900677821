package apiserver

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/master/resource"
)

var updateDocs = flag.Bool("update", false, "write docs/api.md anew")

const (
	docsFile  = "../../docs/api.md"
	docsBegin = "<!-- generated: go test ./master/apiserver -run TestDocs -update -->\n"
	docsEnd   = "<!-- end of what is generated -->\n"
)

// docs/api.md lists the kinds, verbs, subresources and field selectors that are served, no more and no less.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), docsBegin)
	_, after, ended := strings.Cut(rest, docsEnd)
	if !ok || !ended {
		t.Fatalf("%s has no generated part", docsFile)
	}
	want := before + docsBegin + docsTable() + docsEnd + after
	if *updateDocs {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Errorf("docs/api.md is stale: run go test ./master/apiserver -run TestDocs -update")
	}
}

func docsTable() string {
	var out strings.Builder
	out.WriteString("| group and version | kind | short | verbs | subresources | field selectors |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range slices.Concat(resource.All, resource.Measured, resource.Reviews) {
		can := strings.Join(verbs(r), ", ")
		if !r.ReadOnly && !r.Asked {
			can = "all"
		}
		var subs []string
		for _, sub := range subresourcesOf(r) {
			subs = append(subs, sub.name)
		}
		fields := slices.Sorted(maps.Keys(r.Fields))
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |\n", r.GVK.GroupVersion(), r.GVK.Kind,
			strings.Join(r.ShortNames, ", "), can, strings.Join(subs, ", "), strings.Join(fields, ", "))
	}
	return out.String()
}
