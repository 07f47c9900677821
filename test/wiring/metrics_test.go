package wiring

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/master/server"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/metrics.md")

// docs/metrics.md lists every metric that a master and an agent at work expose, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	w := newWorld(t)
	md := w.daemon("skerry-master")
	s, err := server.New(t.Context(), w.config, md)
	if err != nil {
		t.Fatal(err)
	}
	w.run(s.Run)
	w.readKubeconfig()
	ad, _ := w.startAgent("node-1", nil)
	w.until("the node is Ready", func() bool { return w.ready("node-1") })
	w.runPod("first")
	w.until("the pod runs", func() bool { return w.running("first") })

	file := filepath.Join("..", "..", "docs", "metrics.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	for _, d := range []struct {
		program string
		daemon  *daemon.Daemon
	}{{"skerry-master", md}, {"skerry-agent", ad}} {
		begin, end := "<!-- metrics of "+d.program+" -->\n", "<!-- end -->\n"
		before, rest, ok := strings.Cut(doc, begin)
		table, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no %q … %q", file, begin, end)
		}
		want := metricsTable(t, d.daemon.Registry)
		if *update {
			doc = before + begin + want + end + after
		} else if diff := cmp.Diff(want, table); diff != "" {
			t.Errorf("the table of %s is stale; run the test with -update:\n%s", d.program, diff)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checkValues(t, ad.Registry, map[string]float64{
		"skerry_masterlink_connected": 1, "skerry_masterlink_welcomed": 1, "skerry_agent_engine_up": 1, "skerry_agent_pods": 1,
		"skerry_agent_actions_total{action=start,result=done}": 1,
	})
	// A heartbeat comes within a second.
	w.until("a heartbeat is counted", func() bool {
		return values(t, ad.Registry)["skerry_masterlink_sent_total{channel=hb}"] > 0
	})
}

func checkValues(t *testing.T, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	got := values(t, registry)
	for name, value := range want {
		if found, ok := got[name]; !ok || found != value {
			t.Errorf("%s is %v (present: %v), want %v", name, found, ok, value)
		}
	}
}

// values are those of counters and gauges, by name{label=value,…}.
func values(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// description takes apart what prometheus.Desc prints, its only way to tell.
var description = regexp.MustCompile(`^Desc\{fqName: "(.*?)", help: "(.*?)", (?:unit: ".*", )?constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}\}$`)

var constLabel = regexp.MustCompile(`(\w+)="`)

// metricsTable describes everything that is registered, also what has no value yet.
func metricsTable(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	all := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(all)
		close(all)
	}()
	rows := map[string]string{}
	for d := range all {
		parts := description.FindStringSubmatch(d.String())
		if parts == nil {
			t.Fatalf("can't read %s", d)
		}
		name, help := parts[1], parts[2]
		var labels []string
		for _, l := range constLabel.FindAllStringSubmatch(parts[3], -1) {
			labels = append(labels, "`"+l[1]+"`")
		}
		for l := range strings.SplitSeq(parts[4], ",") {
			if l != "" {
				labels = append(labels, "`"+l+"`")
			}
		}
		kind := types[name]
		if kind == "" { // there is no value yet; only counters with labels are like that
			kind = "counter"
		}
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s: counters end in _total, and nothing else does", name, kind)
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, strings.Join(labels, ", "), help)
	}
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		b.WriteString(rows[name])
	}
	return b.String()
}
