package bustest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/skerry-edge/skerry/protocol/bus"
)

func testRoute(t *testing.T, e env) {
	from, to := e.client(t, "from", nil), e.client(t, "to", nil)
	filters := map[string]string{ // and a topic that matches
		"n/a/hb": "n/a/hb",
		"n/+/hb": "n/a/hb",
		"n/a/#":  "n/a",
		"#":      "x",
		"+/b/+":  "n/b/hb",
	}
	topics := []string{"n/a/hb", "n/b/hb", "n/a", "n/a/hb/x", "n//hb", "m/b/", "other"}
	boxes := map[string]*box{}
	for filter, probe := range filters {
		boxes[filter] = newBox()
		subscribe(t, to, e.prefix+filter, e.prefix+probe, boxes[filter])
	}
	for _, qos := range []byte{0, 1} {
		for _, topic := range topics {
			publish(t, from, e.prefix+topic, fmt.Sprint(topic, " ", qos), qos, false)
		}
	}
	for filter, probe := range filters {
		publish(t, from, e.prefix+probe, "end", 1, false)
		b := boxes[filter]
		b.wait(t, "end")
		for _, qos := range []byte{0, 1} {
			for _, topic := range topics {
				payload := fmt.Sprint(topic, " ", qos)
				if bus.Matches(filter, topic) {
					if m := b.wait(t, payload); m.Topic != e.prefix+topic || m.Retained {
						t.Errorf("%s: got %q under %s, retained: %v", filter, payload, m.Topic, m.Retained)
					}
				} else if b.has(payload) {
					t.Errorf("%s: got a message under %s", filter, topic)
				}
			}
		}
	}
}

func testSelf(t *testing.T, e env) {
	c, b := e.client(t, "self", nil), newBox()
	subscribe(t, c, e.prefix+"probe", e.prefix+"probe", b)
	publish(t, c, e.prefix+"probe", "hello", 0, false)
	b.wait(t, "hello")
}

func testPayload(t *testing.T, e env) {
	from, to, b := e.client(t, "from", nil), e.client(t, "to", nil), newBox()
	topic := e.prefix + "a"
	subscribe(t, to, topic, topic, b)
	binary := []byte{0, 1, 255, '\n', 0}
	large := bytes.Repeat([]byte("skerry "), bus.MaxPayload/7+1)[:bus.MaxPayload]
	for _, payload := range [][]byte{binary, large} {
		mine := bytes.Clone(payload)
		if err := from.Publish(topic, mine, 1, false); err != nil {
			t.Fatal(err)
		}
		clear(mine) // the bus does not keep it
		m := b.wait(t, string(payload))
		clear(m.Payload) // it is the receiver's
	}
}

func testRefused(t *testing.T, e env) {
	c := e.client(t, "a", nil)
	for _, topic := range []string{"", "a/+", "#", "a\x00b", "a\xff", strings.Repeat("x", 1<<16)} {
		if err := c.Publish(topic, []byte("x"), 1, false); err == nil {
			t.Errorf("published to %.20q", topic)
		}
	}
	if err := c.Publish(e.prefix+"a", make([]byte, bus.MaxPayload+1), 1, false); err == nil {
		t.Error("published a payload that is too large")
	}
	if err := c.Publish(e.prefix+"a", []byte("x"), 2, false); err == nil {
		t.Error("published with QoS 2")
	}
	for _, filter := range []string{"", "a/#/b", "a+", "a/b#", "a\x00"} {
		if err := c.Subscribe(filter, 1, newBox().Inbox); err == nil {
			t.Errorf("subscribed to %q", filter)
		}
	}
}

func testMany(t *testing.T, e env) {
	to, b := e.client(t, "to", nil), newBox()
	subscribe(t, to, e.prefix+"#", e.prefix+"x", b)
	const clients, each = 4, 50
	var wg sync.WaitGroup
	for i := range clients {
		c := e.client(t, fmt.Sprint("from", i), nil)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range each {
				if err := c.Publish(fmt.Sprintf("%s%d", e.prefix, i), fmt.Appendf(nil, "%d of %d", j, i), 1, false); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	for i := range clients {
		for j := range each {
			b.wait(t, fmt.Sprintf("%d of %d", j, i))
		}
	}
}
