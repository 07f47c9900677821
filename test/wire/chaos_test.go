package wire

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// TestChaos lets messages be lost, repeated and delayed while pods come and go, agents, master and broker
// restart and links are cut. All the while no agent stops a pod that it was not told to stop; afterwards, within
// a minute of quiet, both sides agree on everything.
func TestChaos(t *testing.T) {
	seeds := int64(40)
	if testing.Short() {
		seeds = 5
	}
	for seed := int64(1); seed <= seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := &chaos{world: newWorld(t, seed), stopped: map[string]bool{}}
			for i := range 3 {
				c.addNode(fmt.Sprintf("n%d", i))
			}
			c.loses, c.repeats, c.delays = c.random.Float64()*0.4, 0.2, 0.3
			for range 60 {
				c.strike()
				c.watch(time.Duration(c.random.Int63n(int64(8 * time.Second))))
			}
			c.heal()
			c.watch(time.Minute)
			for _, n := range c.nodes {
				equal(t, n.name+" runs what the store shows", n.pods(), c.pods(n.name))
				if seen, ok := c.seenOf(n.name); !ok || !seen.Online {
					t.Errorf("%s is not seen: %+v", n.name, seen)
				}
			}
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}

type chaos struct {
	*world
	created int
	stopped map[string]bool // uids of pods whose deletion was asked for
}

// strike does one random thing.
func (c *chaos) strike() {
	n := c.nodes[c.random.Intn(len(c.nodes))]
	switch c.random.Intn(12) {
	case 0, 1, 2, 3:
		c.created++
		c.bind(fmt.Sprintf("p%d", c.random.Intn(8)), fmt.Sprintf("u%d", c.created), n.name)
	case 4, 5:
		c.deleteSome()
	case 6:
		n.restart()
	case 7:
		c.restartMaster()
	case 8:
		c.bus.Forget("#")
	case 9:
		c.bus.Restart()
		c.connect(c.line)
		for _, d := range c.nodes {
			c.connect(d.client)
		}
	case 10:
		c.bus.Cut(n.name, true, c.random.Intn(2) == 0)
	case 11:
		c.bus.Cut(n.name, false, false)
		if _, up := n.client.Connection(); !up {
			c.connect(n.client)
		}
	}
}

// bind replaces whatever pod had the name, as a forced deletion and a new creation do.
func (c *chaos) bind(name, uid, node string) {
	if old := c.pod(name); old != nil {
		c.stopped[string(old.UID)] = true
		c.commit(change.Change{Key: resource.Pods.Key("default", name)})
	}
	c.world.bind(name, uid, node)
}

func (c *chaos) deleteSome() {
	name := fmt.Sprintf("p%d", c.random.Intn(8))
	pod := c.pod(name)
	if pod == nil {
		return
	}
	c.stopped[string(pod.UID)] = true
	if c.random.Intn(2) == 0 {
		c.commit(change.Change{Key: resource.Pods.Key("default", name)})
		return
	}
	now := metav1.NewTime(c.now.Wall)
	c.editPod(name, func(p *corev1.Pod) { p.DeletionTimestamp = &now })
}

func (c *chaos) heal() {
	c.loses, c.repeats, c.delays = 0, 0, 0
	for _, n := range c.nodes {
		c.bus.Cut(n.name, false, false)
		c.connect(n.client)
	}
	c.connect(c.line)
}

// watch lets time pass, and checks that nothing stops that was not to be stopped.
func (c *chaos) watch(d time.Duration) {
	c.t.Helper()
	before := map[*device]map[string]*corev1.Pod{}
	for _, n := range c.nodes {
		before[n] = n.wanted
	}
	c.advance(d)
	for n, wanted := range before {
		for uid, pod := range wanted {
			if n.wanted[uid] == nil && !c.stopped[uid] {
				c.t.Fatalf("%s stopped pod %s/%s, which nobody asked for", n.name, pod.Name, uid)
			}
		}
	}
}
