package bus

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Senders that flood a shared inbox leave room for the others, in number and in bytes; what found no room is told
// by topic, and a drained inbox is all free again.
func TestASharedInboxHasRoomForTheQuiet(t *testing.T) {
	for name, test := range map[string]struct {
		limit, size, want int
	}{
		"messages": {100, 1, 50},
		"bytes":    {1000, MaxInboxBytes / 64, 32},
	} {
		t.Run(name, func(t *testing.T) {
			payload, dropped := make([]byte, test.size), map[string]int{}
			sender := func(topic string) string { return strings.Split(topic, "/")[0] }
			i := NewSharedInbox(test.limit, sender, func(topic string) { dropped[sender(topic)]++ }, func() {})
			flood := func(node string) (taken int) {
				for n := range test.limit {
					if i.Put(Message{Topic: node + "/" + []string{"a", "b"}[n%2], Payload: payload}) {
						taken++
					}
				}
				return taken
			}
			for range 2 {
				if got := flood("loud"); got != test.want {
					t.Errorf("the first to flood it gets in %d messages, want %d", got, test.want)
				}
				if got := flood("loud2"); got != test.want/2 {
					t.Errorf("the second gets in %d messages, want %d", got, test.want/2)
				}
				if !i.Put(Message{Topic: "quiet/a", Payload: payload}) {
					t.Error("the quiet one is kept out")
				}
				if got, want := len(i.Drain()), test.want*3/2+1; got != want {
					t.Errorf("%d messages arrive, want %d", got, want)
				}
			}
			want := map[string]int{"loud": 2 * (test.limit - test.want), "loud2": 2 * (test.limit - test.want/2)}
			if diff := cmp.Diff(want, dropped); diff != "" {
				t.Errorf("what was dropped differs (-want +got):\n%s", diff)
			}
		})
	}
}
