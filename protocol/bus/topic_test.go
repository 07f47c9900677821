package bus

import "testing"

// The examples of section 4.7 of MQTT 3.1.1, and corners.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player10", false},
		{"sport/#", "sport", true},
		{"#", "a/b", true},
		{"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS/uptime", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/uptime", true},
		{"a", "a", true},
		{"a", "A", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"+/b/#", "a/b", true},
	} {
		if got := Matches(test.filter, test.topic); got != test.want {
			t.Errorf("%s matches %s: %v", test.filter, test.topic, got)
		}
	}
}

func TestAnInboxHasABoundOfBytes(t *testing.T) {
	i := NewInboxOfBytes(100, 10, func() {})
	for n, want := range []bool{true, true, false} {
		if got := i.Put(Message{Payload: make([]byte, 5)}); got != want {
			t.Fatalf("message %d fits: %v", n, got)
		}
	}
	if len(i.Drain()) != 2 || !i.Put(Message{Payload: make([]byte, 10)}) {
		t.Fatal("the drained inbox has no room")
	}
}

func TestInboxIsBounded(t *testing.T) {
	woken := 0
	i := NewInbox(2, func() { woken++ })
	for n, want := range []bool{true, true, false} {
		if got := i.Put(Message{Topic: string(rune('a' + n))}); got != want {
			t.Fatalf("message %d fits: %v", n, got)
		}
	}
	if got := i.Drain(); len(got) != 2 || got[0].Topic != "a" || got[1].Topic != "b" {
		t.Fatalf("got %v", got)
	}
	if i.Dropped() != 1 || woken != 3 {
		t.Fatalf("dropped %d, woken %d times", i.Dropped(), woken)
	}
	if !i.Put(Message{Topic: "d"}) || len(i.Drain()) != 1 || len(i.Drain()) != 0 {
		t.Fatal("the drained inbox has no room, or keeps what was drained")
	}
}
