package server

import (
	"strings"
	"testing"
)

// A new cluster's administrator reads the token at a terminal; a journal only gets to know where it is.
func TestGreeting(t *testing.T) {
	const token = "sk1.hush"
	for journal, shown := range map[bool]bool{false: true, true: false} {
		var b strings.Builder
		greet(&b, journal, "/data", "home", token)
		if said := b.String(); strings.Contains(said, token) != shown || !strings.Contains(said, "/data/join-token") || !strings.Contains(said, "/data/admin.kubeconfig") {
			t.Errorf("journal %t: %s", journal, said)
		}
	}
}
