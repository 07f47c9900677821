package wire

import (
	"testing"
	"time"
)

// Frames of streams go both ways, and not to a node that nobody has heard of.
func TestFrames(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	if err := n.link.SendFrame([]byte("x")); err == nil {
		t.Error("the agent sends frames to nobody")
	}
	w.advance(time.Second)
	for _, frame := range []string{"1", "2"} {
		if err := w.master.SendFrame("n1", []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.link.SendFrame([]byte("3")); err != nil {
		t.Fatal(err)
	}
	if err := w.master.SendFrame("n9", []byte("x")); err == nil {
		t.Error("the master sends frames to a node it does not know")
	}
	w.advance(time.Second)
	equal(t, "frames of the agent", n.frames, []string{"1", "2"})
	equal(t, "frames of the master", w.frames, []string{"n1:3"})
}
