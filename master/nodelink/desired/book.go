package desired

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Kinds are the kinds whose events a Book wants to observe.
var Kinds = []change.Kind{resource.Pods.Kind, resource.ConfigMaps.Kind, resource.Secrets.Kind, resource.Nodes.Kind}

// Book knows what every node shall run, as digests. It belongs to one goroutine.
type Book struct {
	epoch    message.Epoch
	settings message.Settings
	packer   *message.Packer

	pods    map[change.Key]podEntry
	users   map[change.Key]map[string]int // ConfigMap or Secret -> node -> number of its pods that name it
	nodes   map[string]entry
	touched map[string]bool
	failed  map[string]bool // nodes whose document could not be written, and that were not touched since
}

// podEntry is what the Book remembers of a pod that is bound to a node.
type podEntry struct {
	node    string
	digest  message.Digest
	configs map[change.Key]bool
}

// entry is what the Book remembers of a node's document.
type entry struct {
	serial uint64
	digest message.Digest
	// metered says whether the document has the pace of a metered link; unmetered is the serial from which on the
	// documents have not.
	metered   bool
	unmetered uint64
}

// Head is a document without its content. A zero Position means that none was written in this epoch.
type Head struct {
	Position message.Position
	Digest   message.Digest
}

// NewBook returns an empty Book for the documents of one epoch; settings become part of each.
func NewBook(epoch message.Epoch, settings message.Settings, packer *message.Packer) *Book {
	b := &Book{epoch: epoch, settings: settings, packer: packer, nodes: map[string]entry{}}
	b.forget()
	return b
}

func (b *Book) forget() {
	b.pods = map[change.Key]podEntry{}
	b.users = map[change.Key]map[string]int{}
	b.touched = map[string]bool{}
	b.failed = map[string]bool{}
}

// touch notes that a node's document may have changed, and with it whether it can be written.
func (b *Book) touch(node string) {
	b.touched[node] = true
	delete(b.failed, node)
}

// Reset reads the pods of a whole view: at the start, and after a watch fell behind. Every node that has a
// document of this epoch counts as touched.
func (b *Book) Reset(view change.View) error {
	b.forget()
	for rec := range view.List(resource.Pods.Kind, "") {
		if err := b.setPod(rec); err != nil {
			return err
		}
	}
	clear(b.touched)
	for node := range b.nodes {
		b.touched[node] = true
	}
	return nil
}

// SetBrokers makes the masters' brokers part of each document.
func (b *Book) SetBrokers(brokers []string) {
	if slices.Equal(b.settings.Brokers, brokers) {
		return
	}
	b.settings.Brokers = brokers
	for node := range b.nodes {
		b.touch(node)
	}
}

// Observe takes in one write.
func (b *Book) Observe(e change.Event) error {
	switch e.Key.Kind {
	case resource.Pods.Kind:
		return b.setPodOf(e)
	case resource.ConfigMaps.Kind, resource.Secrets.Kind:
		for node := range b.users[e.Key] {
			b.touch(node)
		}
	case resource.Nodes.Kind:
		facts, err := factsOf(e.New)
		if err != nil {
			return err
		}
		before, err := factsOf(e.Old)
		if err != nil {
			return err
		}
		if e.Old.Exists() != e.New.Exists() || facts != before {
			b.touch(e.Key.Name)
		}
	}
	return nil
}

func (b *Book) setPodOf(e change.Event) error {
	if !e.New.Exists() {
		b.dropPod(e.Key)
		return nil
	}
	return b.setPod(e.New)
}

// setPod touches the pod's node, and the one it was bound to before, when the change concerns them.
func (b *Book) setPod(rec change.Record) error {
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		b.dropPod(rec.Key)
		return nil
	}
	digest, err := podDigest(pod)
	if err != nil {
		return err
	}
	if old, ok := b.pods[rec.Key]; ok && old.node == pod.Spec.NodeName && old.digest == digest {
		return nil
	}
	b.dropPod(rec.Key)
	next := podEntry{node: pod.Spec.NodeName, digest: digest, configs: configsOf(pod)}
	b.pods[rec.Key] = next
	b.touch(next.node)
	for key := range next.configs {
		if b.users[key] == nil {
			b.users[key] = map[string]int{}
		}
		b.users[key][next.node]++
	}
	return nil
}

func (b *Book) dropPod(key change.Key) {
	old, ok := b.pods[key]
	if !ok {
		return
	}
	delete(b.pods, key)
	b.touch(old.node)
	for c := range old.configs {
		if b.users[c][old.node]--; b.users[c][old.node] == 0 {
			delete(b.users[c], old.node)
		}
		if len(b.users[c]) == 0 {
			delete(b.users, c)
		}
	}
}

// Touched returns, sorted, the nodes whose document may have changed since the last call.
func (b *Book) Touched() []string {
	nodes := slices.Sorted(maps.Keys(b.touched))
	clear(b.touched)
	return nodes
}

// Head is the head of the node's newest document.
func (b *Book) Head(node string) Head {
	e, ok := b.nodes[node]
	if !ok {
		return Head{}
	}
	return Head{Position: message.Position{Epoch: b.epoch, Serial: e.serial}, Digest: e.digest}
}

// Update brings the node's document up to date with the view and writes it when it is new: send says so. force
// writes it in any case; an unchanged one is the same document again. An error wraps message.ErrTooBig when it
// can't be sent; the newest document then stays what it was. The same state would fail again, so that it is tried,
// and its error returned, once: until the node is touched nothing is sent.
func (b *Book) Update(view change.View, node string, force bool) (doc message.Desired, send bool, err error) {
	if b.failed[node] {
		return message.Desired{}, false, nil
	}
	doc, send, err = b.write(view, node, force)
	if err != nil {
		b.failed[node] = true
		return message.Desired{}, false, fmt.Errorf("write the desired state of node %s: %w", node, err)
	}
	return doc, send, nil
}

func (b *Book) write(view change.View, node string, force bool) (doc message.Desired, send bool, err error) {
	content, facts, err := b.content(view, node)
	if err != nil {
		return message.Desired{}, false, err
	}
	encoded := message.Encode(content)
	digest := message.DigestOf(encoded)
	position := b.Head(node).Position
	old, ok := b.nodes[node]
	if ok && old.digest == digest {
		if !force {
			return message.Desired{}, false, nil
		}
	} else {
		position = message.Position{Epoch: b.epoch, Serial: position.Serial + 1}
	}
	if doc, err = b.packer.Pack(position, encoded); err != nil {
		return message.Desired{}, false, err
	}
	next := entry{serial: position.Serial, digest: digest, metered: facts.metered, unmetered: old.unmetered}
	if !ok || old.metered {
		next.unmetered = position.Serial
	}
	b.nodes[node] = next
	return doc, true, nil
}

// Unmetered reports whether a node that has applied a document knows that its link is not metered.
func (b *Book) Unmetered(node string, applied message.Position) bool {
	e, ok := b.nodes[node]
	return ok && !e.metered && applied.Epoch == b.epoch && applied.Serial >= e.unmetered
}

// content is what a node shall run, sorted.
func (b *Book) content(view change.View, node string) (message.Content, nodeFacts, error) {
	rec, exists := view.Get(resource.Nodes.Key("", node))
	if !exists {
		return message.Content{Settings: b.settings}, nodeFacts{}, nil
	}
	facts, err := factsOf(rec)
	if err != nil {
		return message.Content{}, facts, err
	}
	content := message.Content{Settings: Paced(b.settings, facts.metered)}
	content.Settings.PodCIDR = facts.subnet
	configs := map[change.Key]bool{}
	for rec := range view.Indexed(resource.Pods.Kind, "spec.nodeName", node) {
		pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
		if err != nil {
			return content, facts, err
		}
		encoded, err := resource.Encode(podForNode(pod))
		if err != nil {
			return content, facts, err
		}
		content.Pods = append(content.Pods, encoded)
		maps.Copy(configs, configsOf(pod))
	}
	keys := slices.Collect(maps.Keys(configs))
	sort.Slice(keys, func(i, j int) bool {
		if keys[i].Namespace != keys[j].Namespace {
			return keys[i].Namespace < keys[j].Namespace
		}
		return keys[i].Name < keys[j].Name
	})
	for _, key := range keys {
		rec, ok := view.Get(key)
		if !ok {
			continue // the node reports that it is missing; creating it touches the node
		}
		if err := addConfig(&content, rec); err != nil {
			return content, facts, err
		}
	}
	return content, facts, nil
}

// addConfig adds what containers can see of a ConfigMap or Secret.
func addConfig(content *message.Content, rec change.Record) error {
	if rec.Key.Kind == resource.Secrets.Kind {
		secret, err := resource.As[*corev1.Secret](resource.Secrets, rec)
		if err != nil {
			return err
		}
		encoded, err := resource.Encode(secretForNode(secret))
		content.Secrets = append(content.Secrets, encoded)
		return err
	}
	configMap, err := resource.As[*corev1.ConfigMap](resource.ConfigMaps, rec)
	if err != nil {
		return err
	}
	encoded, err := resource.Encode(configMapForNode(configMap))
	content.ConfigMaps = append(content.ConfigMaps, encoded)
	return err
}
