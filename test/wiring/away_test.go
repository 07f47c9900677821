package wiring

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/test/lab"
)

// A master says by the condition EtcdSynced, an Event and a line of readyz that etcd is away, and how much it lacks; and that it is back.
func TestEtcdSynced(t *testing.T) {
	e := startEtcd(t)
	line, err := lab.NewUplink(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.Close)
	w := newSite(t, e)
	w.config.Etcd.URLs = []string{line.URL()}
	w.startMaster()
	condition := func() *metav1.Condition {
		var list struct{ Conditions []metav1.Condition }
		w.call("GET", "/apis/skerry.dev/v1/masters", nil, &list)
		return meta.FindStatusCondition(list.Conditions, "EtcdSynced")
	}
	w.until("etcd has everything", func() bool {
		c := condition()
		return c != nil && c.Status == metav1.ConditionTrue && c.Reason == "EtcdSynced"
	})
	before := condition()
	line.Cut()
	w.secretNamed("one")
	w.until("the condition says that etcd lacks it", func() bool {
		c := condition()
		return c.Status == metav1.ConditionFalse && c.Reason == "EtcdAway" && strings.Contains(c.Message, "objects are not in etcd")
	})
	if c := condition(); c.LastTransitionTime.Before(&before.LastTransitionTime) || c.LastTransitionTime.IsZero() {
		t.Errorf("since %s, and before since %s", c.LastTransitionTime, before.LastTransitionTime)
	}
	w.until("an Event tells of it", func() bool { return w.event("EtcdAway") })
	line.Heal()
	w.until("etcd has everything again", func() bool { return condition().Status == metav1.ConditionTrue })
	w.until("an Event tells of that", func() bool { return w.event("EtcdSynced") })
}
