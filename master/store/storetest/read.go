package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

func testImmutable(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	for i := range 200 {
		must(t, s, create(key(pods, name(i)), "n1|"))
	}
	v := s.View()
	before, rev := dump(v), v.Rev()
	for i := range 200 {
		if i%2 == 0 {
			must(t, s, remove(key(pods, name(i))))
		} else {
			must(t, s, set(key(pods, name(i)), "n2|"))
		}
	}
	must(t, s, create(key(maps, "late"), "1"))
	if diff := cmp.Diff(before, dump(v)); diff != "" || v.Rev() != rev || v.Count(pods) != 200 || v.Count(maps) != 0 {
		t.Fatalf("a view changed (-before +after):\n%s", diff)
	}
	if n := len(slices.Collect(v.Indexed(pods, "node", "n1"))); n != 200 {
		t.Fatalf("its index changed: %d objects", n)
	}
	if n := s.View().Count(pods); n != 100 {
		t.Fatalf("the new view counts %d objects", n)
	}
}

func name(i int) string { return string([]byte{'a' + byte(i/26), 'a' + byte(i%26)}) }

func testList(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	at := func(namespace, name string) change.Key {
		return change.Key{Kind: pods, Namespace: namespace, Name: name}
	}
	must(t, s, create(at("b", "x"), "1"), create(at("a", "y"), "1"), create(at("", "z"), "1"),
		create(at("a", "x"), "1"), create(at("a-b", "x"), "1"), create(key(maps, "x"), "1"))
	tests := []struct {
		kind      change.Kind
		namespace string
		want      []string
	}{
		{pods, "", []string{"pods z", "pods a/x", "pods a/y", "pods a-b/x", "pods b/x"}},
		{pods, "a", []string{"pods a/x", "pods a/y"}},
		{pods, "aa", nil},
		{"unknown", "", nil},
	}
	for _, test := range tests {
		var got []string
		for rec := range s.View().List(test.kind, test.namespace) {
			got = append(got, rec.Key.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("list %s in %q: got %v, want %v", test.kind, test.namespace, got, test.want)
		}
	}
	if n := s.View().Count(pods); n != 5 {
		t.Errorf("count: %d", n)
	}
	n := 0
	for range s.View().List(pods, "") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("a list that was left went on to %d", n)
	}
}

func testIndex(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	a, b, c := key(pods, "a"), key(pods, "b"), key(pods, "c")
	check := func(what string, want map[string][]string) {
		t.Helper()
		for _, node := range []string{"n1", "n2", "n", ""} {
			var got []string
			for rec := range s.View().Indexed(pods, "node", node) {
				got = append(got, rec.Key.Name+"="+string(rec.Value))
			}
			if !slices.Equal(got, want[node]) {
				t.Errorf("%s: on %q: got %v, want %v", what, node, got, want[node])
			}
		}
	}
	must(t, s, create(b, "n1|1"), create(a, "n1|1"), create(c, "unbound"))
	check("created", map[string][]string{"n1": {"a=n1|1", "b=n1|1"}})
	must(t, s, set(b, "n1|2"), set(c, "n2|1"))
	check("updated", map[string][]string{"n1": {"a=n1|1", "b=n1|2"}, "n2": {"c=n2|1"}})
	must(t, s, set(a, "n2|2"), remove(b))
	check("moved and deleted", map[string][]string{"n2": {"a=n2|2", "c=n2|1"}})
	must(t, s, set(a, "unbound"))
	check("left out", map[string][]string{"n2": {"c=n2|1"}})
	refused(t, s, store.ErrConflict, set(a, "n1|3"), create(c, "n1|3"))
	check("refused", map[string][]string{"n2": {"c=n2|1"}})
	if got := slices.Collect(s.View().Indexed(maps, "node", "n2")); got != nil {
		t.Errorf("an index that the kind doesn't have yields %v", got)
	}
}
