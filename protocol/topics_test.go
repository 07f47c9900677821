package protocol

import (
	"strings"
	"testing"
)

func mustTopics(t testing.TB, cluster string) Topics {
	t.Helper()
	topics, err := NewTopics(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

// The topics are part of the protocol: brokers' access rules name them.
func TestTopicNames(t *testing.T) {
	topics := mustTopics(t, "default")
	for want, got := range map[string]string{
		"skerry/default/m/leader":      topics.Leader(),
		"skerry/default/m/probe/m1":    topics.Probe("m1"),
		"skerry/default/n/pi/hello":    topics.Node("pi", Hello),
		"skerry/default/n/pi/hb":       topics.Node("pi", Beat),
		"skerry/default/n/pi/presence": topics.Node("pi", Presence),
		"skerry/default/n/pi/status":   topics.Node("pi", Status),
		"skerry/default/n/pi/desired":  topics.Node("pi", Desired),
		"skerry/default/n/pi/req":      topics.Node("pi", Request),
		"skerry/default/n/pi/res":      topics.Node("pi", Response),
		"skerry/default/n/+/hb":        topics.AllNodes(Beat),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseIsTheInverseOfNode(t *testing.T) {
	topics := mustTopics(t, "default")
	for _, node := range []string{"a", "pi-1.example", strings.Repeat("x", 63)} {
		for _, channel := range []string{Hello, Beat, Presence, Status, Desired, Request, Response} {
			gotNode, gotChannel, ok := topics.Parse(topics.Node(node, channel))
			if !ok || gotNode != node || gotChannel != channel {
				t.Errorf("%s: got %q, %q, %v", topics.Node(node, channel), gotNode, gotChannel, ok)
			}
		}
	}
	for _, topic := range []string{
		"", "hb", "skerry/default/n/", "skerry/default/n/pi", "skerry/default/n/pi/", "skerry/default/n//hb",
		"skerry/default/n/pi/hb/x", "skerry/default/m/leader", "skerry/other/n/pi/hb", "skerry/default/n/pi/hb/",
		"x/skerry/default/n/pi/hb",
	} {
		if node, channel, ok := topics.Parse(topic); ok {
			t.Errorf("%q is taken for channel %q of node %q", topic, channel, node)
		}
	}
}

func TestCheckLevel(t *testing.T) {
	for _, name := range []string{"a", "0", "pi-1", "pi.example.org", "a--b", strings.Repeat("a", 63)} {
		if err := CheckLevel(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "-a", "a-", ".a", "a.", "A", "a_b", "a/b", "+", "#", "a b", "ä", "a\x00", strings.Repeat("a", 64),
	} {
		err := CheckLevel(name)
		if err == nil {
			t.Errorf("%q is accepted", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines", name)
		}
		if _, err := NewTopics(name); err == nil {
			t.Errorf("a cluster may be called %q", name)
		}
	}
}

// Whatever is parsed is exactly what Node would have made, so nothing that isn't a node's topic passes for one.
func FuzzParse(f *testing.F) {
	for _, topic := range []string{"skerry/c/n/pi/hb", "skerry/c/n//hb", "skerry/c/n/a/b/c", "skerry/c/m/leader", ""} {
		f.Add(topic)
	}
	topics := mustTopics(f, "c")
	f.Fuzz(func(t *testing.T, topic string) {
		node, channel, ok := topics.Parse(topic)
		if ok && (topics.Node(node, channel) != topic || strings.Contains(node+channel, "/")) {
			t.Errorf("%q is taken for channel %q of node %q", topic, channel, node)
		}
	})
}
