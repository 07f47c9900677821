package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

var (
	settings = message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000}
	cluster  = sealtest.NewCluster("default")
)

// world is one master, its nodes and the broker between them.
type world struct {
	t      testing.TB
	random *rand.Rand
	now    clock.Now
	topics protocol.Topics
	bus    *bus.Memory
	late   []latePacket
	// What happens to a packet, as probabilities.
	loses, repeats, delays float64
	// seen is called for each packet that is sent, if set.
	seen func(bus.Packet)

	store *store.Memory
	// deaf: the master begins no epoch for its nodes' sake.
	deaf    bool
	run     uint32 // of the master
	self    seal.Run
	master  *nodelink.Link
	line    *bus.Client
	metrics *prometheus.Registry // of the master
	frames  []string             // that the master got, as node:frame
	woken   bool
	next    clock.Now

	nodes []*device // sorted by name
}

type latePacket struct {
	at     clock.Now
	packet bus.Packet
}

func newWorld(t testing.TB, seed int64) *world {
	topics, err := protocol.NewTopics("default")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t:      t,
		random: rand.New(rand.NewSource(seed)),
		now:    clock.Now{Wall: time.Unix(1_800_000_000, 0), Boot: time.Hour},
		topics: topics,
		bus:    bus.NewMemory(bus.MemoryConfig{Held: true, Queue: 1 << 16}),
		store:  store.NewMemory(store.Config{Schema: resource.Schema()}),
	}
	w.startMaster()
	return w
}

func (w *world) startMaster() {
	w.run++
	w.self = seal.Run{Number: w.run, Nonce: w.random.Uint64()}
	w.line = w.bus.Client(bus.ClientConfig{ID: "master"})
	w.metrics = prometheus.NewRegistry()
	advance := func(beyond change.Epoch) error { return w.store.Advance(beyond) }
	if w.deaf {
		advance = nil
	}
	w.master = nodelink.New(nodelink.Config{
		Advance: advance,
		Store:   w.store, Bus: w.line, Topics: w.topics, Run: w.self,
		Cluster: cluster.Name, Key: cluster.Keys.Exchange, Sign: cluster.Sign,
		Master: "m", Settings: settings, Frames: masterFrames{w}, Rand: w.random, Logger: zerolog.Nop(),
		Registerer: w.metrics, Wake: func() { w.woken = true },
	})
	w.woken, w.next = true, clock.Never
	w.connect(w.line)
}

// restartMaster ends the master without a word and starts another one, of the next epoch, on what it had stored.
func (w *world) restartMaster() {
	w.restartMasterFrom(w.store.View(), w.store.Epoch().Next())
}

// restartMasterFrom starts the other one on what is in a view.
func (w *world) restartMasterFrom(old change.View, epoch change.Epoch) {
	w.line.Lose()
	w.store = store.NewMemory(store.Config{Schema: resource.Schema(), Epoch: epoch})
	for _, r := range resource.All {
		if r.Volatile || r.FromStored != nil {
			continue
		}
		for rec := range old.List(r.Kind, "") {
			w.commit(change.Change{Key: rec.Key, Value: rec.Value})
		}
	}
	for rec := range old.List(resource.NodeKeyKind, "") {
		w.commit(change.Change{Key: rec.Key, Value: rec.Value})
	}
	w.startMaster()
}

// connect connects a client, unless its link is cut.
func (w *world) connect(c *bus.Client) {
	if err := c.Connect(); err != nil && !errors.Is(err, bus.ErrUnreachable) {
		w.t.Fatal(err)
	}
}

// advance lets d pass: everything that is due or arrives until then happens.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		for rounds := 0; w.round(); rounds++ {
			if rounds > 1000 {
				w.t.Fatal("messages go back and forth without end")
			}
		}
		next := w.next
		for _, n := range w.nodes {
			next = clock.Earliest(next, n.next)
		}
		for _, p := range w.late {
			next = clock.Earliest(next, p.at)
		}
		if !end.Reached(next) {
			w.now = end
			return
		}
		w.now = w.now.Add(max(0, next.Since(w.now)))
	}
}

// round steps whoever has something to do and moves the packets; it reports whether anything happened.
func (w *world) round() bool {
	busy := false
	if w.woken || w.now.Reached(w.next) {
		w.woken, busy = false, true
		next, err := w.master.Step(w.now)
		if err != nil {
			w.t.Fatal(err)
		}
		w.next = next
	}
	for _, n := range w.nodes {
		busy = n.step() || busy
	}
	for _, p := range w.bus.Take() {
		busy = true
		if w.seen != nil {
			w.seen(p)
		}
		if w.random.Float64() < w.repeats {
			w.delay(p)
		}
		switch roll := w.random.Float64(); {
		case roll < w.loses:
		case roll < w.loses+w.delays:
			w.delay(p)
		default:
			w.bus.Deliver(p)
		}
	}
	var later []latePacket
	for _, p := range w.late {
		if w.now.Reached(p.at) {
			busy = true
			w.bus.Deliver(p.packet)
		} else {
			later = append(later, p)
		}
	}
	w.late = later
	return busy
}

func (w *world) delay(p bus.Packet) {
	at := w.now.Add(time.Duration(w.random.Int63n(int64(3 * time.Second))))
	w.late = append(w.late, latePacket{at, p})
}

func (w *world) commit(changes ...change.Change) {
	w.t.Helper()
	for i := range changes {
		if changes[i].Base == 0 {
			changes[i].Base = change.Any
		}
	}
	if _, err := w.store.Commit(context.Background(), changes); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(r *resource.Resource, o resource.Object) {
	w.t.Helper()
	value, err := resource.Encode(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(change.Change{Key: r.Key(o.GetNamespace(), o.GetName()), Value: value})
}

// bind puts a pod, bound to a node, into the store.
func (w *world) bind(name, uid, node string, edits ...func(*corev1.Pod)) {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodPending,
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
		},
	}
	for _, edit := range edits {
		edit(pod)
	}
	w.put(resource.Pods, pod)
}

// pod is the pod in the store, or nil.
func (w *world) pod(name string) *corev1.Pod {
	w.t.Helper()
	rec, ok := w.store.View().Get(resource.Pods.Key("default", name))
	if !ok {
		return nil
	}
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil {
		w.t.Fatal(err)
	}
	return pod
}

func (w *world) editPod(name string, edit func(*corev1.Pod)) {
	w.t.Helper()
	pod := w.pod(name)
	edit(pod)
	w.put(resource.Pods, pod)
}

func (w *world) seenOf(node string) (resource.Seen, bool) {
	rec, ok := w.store.View().Get(change.Key{Kind: resource.SeenKind, Name: node})
	if !ok {
		return resource.Seen{}, false
	}
	s, err := resource.DecodeSeen(rec.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, true
}

// metric is the value of one of the master's counters with a single label.
func (w *world) metric(name, label string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && m.Label[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// pods lists the store's pods of a node as name/uid phase.
func (w *world) pods(node string) string {
	var out []string
	for rec := range w.store.View().Indexed(resource.Pods.Kind, "spec.nodeName", node) {
		pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s/%s %s", pod.Name, pod.UID, pod.Status.Phase))
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

type masterFrames struct{ w *world }

func (f masterFrames) Deliver(node string, frame []byte) {
	f.w.frames = append(f.w.frames, node+":"+string(frame))
}

// device is a node: a disk that lasts, a link that is restarted, and pods that run as soon as they are wanted.
type device struct {
	w      *world
	name   string
	keys   *sealtest.Node
	disk   *disk
	run    uint32
	self   seal.Run
	client *bus.Client
	link   *masterlink.Link
	woken  bool
	next   clock.Now

	version uint64
	wanted  map[string]*corev1.Pod // by uid
	accepts int
	empty   bool // the last content listed no pods
	memory  int64
	events  []message.Event
	frames  []string
}

// disk is a masterlink.Disk that counts.
type disk struct {
	position  message.Position
	digest    message.Digest
	content   []byte
	epoch     message.Epoch
	documents int // written
	small     int // positions and epochs written
	full      bool
}

func (w *world) addNode(name string) *device {
	d := &device{w: w, name: name, keys: cluster.NewNode(name), disk: &disk{}, memory: 1 << 30, wanted: map[string]*corev1.Pod{}}
	w.join(name, d.keys)
	w.nodes = append(w.nodes, d)
	slices.SortFunc(w.nodes, func(a, b *device) int { return strings.Compare(a.name, b.name) })
	d.start()
	return d
}

// join makes keys those of a node, as joining does.
func (w *world) join(name string, keys *sealtest.Node, edits ...func(*resource.NodeKey)) {
	record := resource.NodeKey{Key: keys.Public()}
	for _, edit := range edits {
		edit(&record)
	}
	w.commit(change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: name}, Value: resource.EncodeNodeKey(record)})
}

// start begins another run on the same disk.
func (d *device) start() {
	w := d.w
	d.run++
	d.self = seal.Run{Number: d.run, Nonce: w.random.Uint64()}
	d.wanted = map[string]*corev1.Pod{}
	d.client = w.bus.Client(bus.ClientConfig{ID: d.name, Will: func(n uint64) (string, []byte) { return d.link.Will(n) }})
	d.link = masterlink.New(masterlink.Config{
		Bus: d.client, Topics: w.topics, Node: d.name, Run: d.self,
		LeaderKey: cluster.Verify(), Box: d.keys.Box(), Keys: d.keys, Revoked: d.keys.RevokedAt,
		BootID: "b", Settings: settings, Disk: d.disk, Local: d, Frames: d, Rand: w.random, Logger: zerolog.Nop(),
		Wake: func() { d.woken = true },
	})
	d.woken, d.next = true, clock.Never
	w.connect(d.client)
}

// restart ends the run; the broker notices and publishes the will.
func (d *device) restart() {
	d.client.Lose()
	d.w.bus.Drop(d.name)
	d.start()
}

func (d *device) step() bool {
	if !d.woken && !d.w.now.Reached(d.next) {
		return false
	}
	d.woken = false
	next, err := d.link.Step(d.w.now)
	if err != nil {
		d.w.t.Fatal(err)
	}
	d.next = next
	return true
}

func (d *device) Accept(content message.Content) {
	d.accepts++
	d.version++
	d.empty = len(content.Pods) == 0
	d.wanted = map[string]*corev1.Pod{}
	for _, encoded := range content.Pods {
		pod := &corev1.Pod{}
		if err := pod.Unmarshal(encoded); err != nil {
			d.w.t.Fatal(err)
		}
		d.wanted[string(pod.UID)] = pod
	}
	d.woken = true
}

func (d *device) Statuses() (uint64, []message.PodStatus) {
	var out []message.PodStatus
	for uid, pod := range d.wanted {
		status := corev1.PodStatus{Phase: corev1.PodRunning}
		if pod.Status.Phase != "" {
			status.Phase = pod.Status.Phase // it has ended and is not started again
		}
		encoded, err := status.Marshal()
		if err != nil {
			d.w.t.Fatal(err)
		}
		out = append(out, message.PodStatus{
			UID: uid, Namespace: pod.Namespace, Name: pod.Name, Status: encoded, Gone: pod.DeletionTimestamp != nil,
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].UID < out[j].UID })
	return d.version, out
}

func (d *device) Node() []byte {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kubernetes.io/arch": "arm64"}}}
	node.Status.NodeInfo.KernelVersion = fmt.Sprint(d.memory)
	encoded, err := node.Marshal()
	if err != nil {
		d.w.t.Fatal(err)
	}
	return encoded
}

func (d *device) Readings() message.Readings { return message.Readings{CPUMilli: 7} }

func (d *device) Unconfirm()              {}
func (d *device) Grant(message.Grant)     {}
func (d *device) Permits() (bool, uint64) { return false, 0 }
func (d *device) Release([]string)        {}
func (d *device) TakeReleased() []string  { return nil }

func (d *device) TakeEvents() []message.Event {
	events := d.events
	d.events = nil
	return events
}

func (d *device) Deliver(frame []byte) { d.frames = append(d.frames, string(frame)) }

// pods lists what the device runs as name/uid Running.
func (d *device) pods() string {
	var out []string
	for uid, pod := range d.wanted {
		out = append(out, fmt.Sprintf("%s/%s Running", pod.Name, uid))
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

func (d *disk) Desired() (message.Position, message.Digest, []byte, error) {
	return d.position, d.digest, d.content, nil
}

func (d *disk) KeepDesired(position message.Position, digest message.Digest, content []byte) error {
	if d.full {
		return fmt.Errorf("no space left on device")
	}
	d.position, d.digest, d.content = position, digest, slices.Clone(content)
	d.documents++
	return nil
}

func (d *disk) KeepPosition(position message.Position) error {
	d.position = position
	d.small++
	return nil
}

func (d *disk) Epoch() (message.Epoch, error) { return d.epoch, nil }

func (d *disk) KeepEpoch(epoch message.Epoch) error {
	d.epoch = epoch
	d.small++
	return nil
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}
