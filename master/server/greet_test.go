package server

import (
	"strings"
	"testing"
)

// A new cluster's administrator reads the token and the recovery key at a terminal; a journal only gets to know where
// one is and how to get the other.
func TestGreeting(t *testing.T) {
	const token, key = "sk1.hush", "skr1-hush"
	for journal, shown := range map[bool]bool{false: true, true: false} {
		var b strings.Builder
		greeting{dir: "/data", cluster: "home", journal: journal, token: token, key: key}.say(&b)
		said := b.String()
		if strings.Contains(said, token) != shown || strings.Contains(said, key) != shown ||
			!strings.Contains(said, "/data/join-token") || !strings.Contains(said, "/data/admin.kubeconfig") || !strings.Contains(said, "edgectl recovery-key rotate") {
			t.Errorf("journal %t: %s", journal, said)
		}
	}
	var b strings.Builder
	greeting{cluster: "home", key: key}.say(&b) // the clock was not set, so there is no token
	if !strings.Contains(b.String(), key) || strings.Contains(b.String(), "--join") {
		t.Errorf("without a token: %s", b.String())
	}
	b.Reset()
	greeting{cluster: "home"}.say(&b)
	if b.Len() > 0 {
		t.Errorf("a cluster that is not new: %s", b.String())
	}
}
