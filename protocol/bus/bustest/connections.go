package bustest

import (
	"fmt"
	"testing"
)

func testRetained(t *testing.T, e env) {
	from, to := e.client(t, "from", nil), e.client(t, "to", nil)
	topic, live := e.prefix+"desired", newBox()
	subscribe(t, from, topic, topic, live)
	publish(t, from, topic, "old", 1, true)
	publish(t, from, topic, "new", 1, true)
	if m := live.wait(t, "new"); m.Retained {
		t.Error("who was subscribed already is told that the message was retained: MQTT-3.3.1-9")
	}
	late := newBox()
	subscribe(t, to, topic, topic, late)
	if m := late.wait(t, "new"); !m.Retained {
		t.Error("who subscribes later is not told that the message was retained: MQTT-3.3.1-8")
	}
	if late.has("old") {
		t.Error("the replaced message came")
	}
}

func testRetainedDeleted(t *testing.T, e env) {
	from, to := e.client(t, "from", nil), e.client(t, "to", nil)
	gone, kept, live := e.prefix+"a/gone", e.prefix+"a/kept", newBox()
	subscribe(t, from, e.prefix+"a/+", e.prefix+"a/x", live)
	publish(t, from, gone, "gone", 1, true)
	publish(t, from, gone, "", 1, true)
	publish(t, from, kept, "kept", 1, true)
	live.wait(t, "kept")
	for _, m := range live.got {
		if len(m.Payload) == 0 {
			t.Error("the deletion came as a message")
		}
	}
	late := newBox()
	subscribe(t, to, e.prefix+"a/+", e.prefix+"a/x", late)
	late.wait(t, "kept")
	if late.has("gone") {
		t.Error("the deleted message came")
	}
}

func testSubscribeAgain(t *testing.T, e env) {
	c := e.client(t, "a", nil)
	topic, first, second := e.prefix+"desired", newBox(), newBox()
	subscribe(t, c, topic, topic, first)
	publish(t, c, topic, "kept", 1, true)
	first.wait(t, "kept")
	subscribe(t, c, topic, topic, second)
	if m := second.wait(t, "kept"); !m.Retained {
		t.Error("the repeated message is not marked as retained")
	}
	before := len(first.got) + len(first.Drain())
	publish(t, c, topic, "later", 1, false)
	second.wait(t, "later")
	if first.got = append(first.got, first.Drain()...); len(first.got) > before || first.has("later") {
		t.Errorf("the replaced inbox got %q", first.payloads())
	}
}

func testReconnect(t *testing.T, e env) {
	from, to, b := e.client(t, "from", nil), e.client(t, "to", nil), newBox()
	topic := e.prefix + "desired"
	subscribe(t, to, topic, topic, b)
	to.Break()
	b.until(t, "the connection is lost", func() bool { _, up := to.Connection(); return !up })
	publish(t, from, topic, "meanwhile", 1, true)
	// Without a connection publishing is no error; the message may be lost.
	publish(t, to, topic, "into the void", 0, false)
	to.Reconnect()
	if m := b.wait(t, "meanwhile"); !m.Retained {
		t.Error("the message from before the new connection is not marked as retained")
	}
	publish(t, from, topic, "afterwards", 1, false)
	b.wait(t, "afterwards")
}

func testConnection(t *testing.T, e env) {
	c, b := e.client(t, "a", nil), newBox()
	topic := e.prefix + "a"
	subscribe(t, c, topic, topic, b)
	last, up := c.Connection()
	if last == 0 || !up {
		t.Fatalf("the first connection has number %d", last)
	}
	for range 3 {
		c.Break()
		b.until(t, "the inbox wakes for the loss", func() bool { _, up := c.Connection(); return !up })
		c.Reconnect()
		var number uint64
		b.until(t, "the inbox wakes for the new connection", func() bool {
			number, up = c.Connection()
			return up
		})
		if number <= last {
			t.Fatalf("connection %d follows connection %d", number, last)
		}
		last = number
	}
}

func testWill(t *testing.T, e env) {
	topic := e.prefix + "presence"
	will := func(connection uint64) (string, []byte) { return topic, fmt.Appendf(nil, "offline %d", connection) }
	watcher, b := e.client(t, "watcher", nil), newBox()
	subscribe(t, watcher, topic, topic, b)
	c := e.client(t, "mortal", will)
	for range 2 {
		number, _ := c.Connection()
		publish(t, watcher, topic, fmt.Sprint("before ", number), 1, false)
		b.wait(t, fmt.Sprint("before ", number))
		if b.has(fmt.Sprint("offline ", number)) {
			t.Fatal("the will came while the client was connected")
		}
		c.Break()
		b.wait(t, fmt.Sprint("offline ", number))
		// The will is retained: who comes later learns of it.
		late, lateBox := e.client(t, fmt.Sprint("late", number), nil), newBox()
		subscribe(t, late, topic, topic, lateBox)
		if m := lateBox.wait(t, fmt.Sprint("offline ", number)); !m.Retained {
			t.Error("the will is not retained")
		}
		late.Close()
		c.Reconnect()
		awaitUp(t, c)
	}
}

func testNoWill(t *testing.T, e env) {
	topic := e.prefix + "presence"
	will := func(uint64) (string, []byte) { return topic, []byte("offline") }
	watcher, b := e.client(t, "watcher", nil), newBox()
	subscribe(t, watcher, topic, topic, b)
	polite, broken := e.client(t, "polite", will), e.client(t, "broken", func(uint64) (string, []byte) {
		return topic, []byte("the other one's")
	})
	polite.Close()
	eventually(t, "the client has left", func() bool { _, up := polite.Connection(); return !up })
	broken.Break()
	b.wait(t, "the other one's")
	if b.has("offline") {
		t.Error("a client that took leave has sent its will: MQTT-3.14.4-3")
	}
}
