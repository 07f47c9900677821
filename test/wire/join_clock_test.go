package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/message"
)

// A master that woke in the past says so to who joins with a token that expires, and lets the machine in when its clock
// has been set, without anybody doing anything.
func TestTheMastersClockIsBehind(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 1)
	set := g.now.Wall
	g.now.Wall = time.Unix(100, 0)
	a := g.apply("n1", 1, token)
	g.until(20*time.Second, a)
	if err := a.attempt.Err(); a.verdict != "" || err == nil || !strings.Contains(err.Error(), "set the master's clock") {
		t.Errorf("verdict %q, the machine says: %v", a.verdict, err)
	}
	g.now.Wall = set.Add(time.Minute)
	g.until(2*time.Minute, a)
	equal(t, "verdict", a.verdict, message.Joined)
	equal(t, "uses", g.editToken(token, nil).Used, 1)
}
