package wire

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// TestTheBrokerReadsNothing opens everything that was said with the keys of both sides, and looks for what it finds in
// what the broker has seen: no eight bytes of any message are there. What is said twice looks different.
func TestTheBrokerReadsNothing(t *testing.T) {
	w := newWorld(t, 1)
	type sent struct {
		topic   string
		payload []byte
	}
	var all []sent
	w.seen = func(p bus.Packet) {
		if p.Up {
			all = append(all, sent{p.Topic, p.Payload})
		}
	}
	secret := strings.Repeat("correct horse battery staple", 3)
	w.put(resource.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "secret"}, Data: map[string][]byte{"password": []byte(secret)},
	})
	n := w.addNode("n1")
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "secret"},
		}}}
	})
	w.advance(2 * time.Second)
	if err := w.master.SendFrame("n1", []byte(secret)); err != nil {
		t.Fatal(err)
	}
	if err := n.link.SendFrame([]byte(secret)); err != nil {
		t.Fatal(err)
	}
	n.client.Lose()
	w.bus.Drop("n1")
	w.connect(n.client)
	w.advance(time.Minute)

	var agent, master seal.Run
	for _, s := range all {
		e, err := seal.Parse(s.payload)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(s.topic, "/"+protocol.Hello) {
			agent = e.Sender
		}
		if s.topic == w.topics.Leader() {
			master = e.Sender
		}
	}
	opened, carried := map[string]int{}, 0
	for _, s := range all {
		name, channel, ok := w.topics.Parse(s.topic)
		if !ok {
			continue // the leader's announcement, which is for everybody, and probes
		}
		box, to := n.keys.Master(), master
		switch channel {
		case protocol.Request:
			box, to = n.keys.Box(), agent
		case protocol.Desired:
			box, to = n.keys.Box(), seal.Run{}
		case protocol.Hello, protocol.Presence:
			to = seal.Run{}
		}
		e, err := box.Open(s.topic, to, s.payload)
		if err != nil {
			t.Fatalf("%s of %s: %v", channel, name, err)
		}
		opened[channel]++
		for i := 0; i+8 <= len(e.Body); i++ {
			if bytes.Contains(s.payload, e.Body[i:i+8]) {
				t.Fatalf("the broker reads %x on %s", e.Body[i:i+8], channel)
			}
		}
		if channel == protocol.Desired {
			doc, err := message.Decode[message.Desired](e.Body)
			if err != nil {
				t.Fatal(err)
			}
			if raw, _, err := doc.Unpack(); err == nil && bytes.Contains(raw, []byte(secret)) {
				carried++
			}
		}
	}
	for _, channel := range []string{
		protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Desired, protocol.Request, protocol.Response,
	} {
		if opened[channel] == 0 {
			t.Errorf("nothing was said on %s", channel)
		}
	}
	if carried == 0 {
		t.Error("the secret did not travel")
	}
	seen := map[string]bool{}
	for _, s := range all {
		tail := string(s.payload[len(s.payload)-16:])
		if seen[tail] {
			t.Errorf("two messages end alike, the second on %s", s.topic)
		}
		seen[tail] = true
	}
}
