package usage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// board is a node's engine in virtual time with two pods: "a" has a busy and an idle container, "b" one that holds
// memory.
type board struct {
	*fake.Engine
	now clock.Now
}

func newBoard(t *testing.T) *board {
	t.Helper()
	b := &board{now: clock.Now{Wall: time.Unix(1000, 0), Boot: time.Minute}}
	b.Engine = fake.New(fake.Config{
		Now: func() clock.Now { return b.now }, Sleep: func(context.Context, time.Duration) error { return nil },
		Images: map[string]fake.Image{"i": {Present: true}},
	})
	b.start(t, "a", "busy", "spin")
	b.start(t, "a", "idle", "sleep")
	b.start(t, "b", "large", "eat", "64")
	return b
}

func (b *board) start(t *testing.T, uid, name string, args ...string) {
	t.Helper()
	err := b.Start(t.Context(), engine.Spec{ID: uid + "-" + name, Image: "i", Args: args, CPUMilli: 250,
		Labels: map[string]string{engine.LabelPodUID: uid, engine.LabelContainer: name}})
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a Conn that keeps what is sent.
type answer struct {
	stream.Conn
	sent []byte
}

func (a *answer) Write(channel byte, data []byte) error {
	if channel != stream.Out {
		return errors.New("the report goes to Out")
	}
	a.sent = append(a.sent, data...)
	return nil
}

// ask has a stream answered, with what happens between the readings.
func (b *board) ask(t *testing.T, uid string, between func()) (stream.UsageReport, stream.End) {
	t.Helper()
	a := &answer{}
	end := serve(t.Context(), b, stream.Open{Kind: stream.Usage, UID: uid}, a, func(context.Context, stream.Conn) bool {
		b.now = b.now.Add(Window)
		b.Tick()
		between()
		return true
	})
	if len(a.sent) == 0 {
		return stream.UsageReport{}, end
	}
	r, err := stream.DecodeUsage(a.sent)
	if err != nil {
		t.Fatal(err)
	}
	return r, end
}

// A report has what each container used in the window, of all pods or of the one that is asked for.
func TestReport(t *testing.T) {
	b := newBoard(t)
	all := []stream.ContainerUsage{
		{UID: "a", Container: "busy", CPUNano: 250e6},
		{UID: "a", Container: "idle"},
		{UID: "b", Container: "large", MemoryBytes: 64 << 20},
	}
	for uid, want := range map[string][]stream.ContainerUsage{"": all, "a": all[:2], "c": nil} {
		got, end := b.ask(t, uid, func() {})
		if diff := cmp.Diff(want, got.Containers); diff != "" || end.Error != "" {
			t.Errorf("of pod %q: %+v (-want +got):\n%s", uid, end, diff)
		}
		if want != nil && got.Window() != Window {
			t.Errorf("the window is %s", got.Window())
		}
	}
}

// What began or ended between the readings has no rate, and so no figures.
func TestOnlyWhatRunsAllTheTimeIsReported(t *testing.T) {
	b := newBoard(t)
	got, _ := b.ask(t, "", func() {
		b.Kill("a-busy", 1)
		b.start(t, "b", "late", "spin")
	})
	want := []stream.ContainerUsage{{UID: "a", Container: "idle"}, {UID: "b", Container: "large", MemoryBytes: 64 << 20}}
	if diff := cmp.Diff(want, got.Containers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An engine that doesn't answer, at either reading, is said so, and there is no report.
func TestEngineAway(t *testing.T) {
	b := newBoard(t)
	for _, faults := range [][]error{{engine.ErrAway}, {nil, engine.ErrAway}} {
		b.Fail(fake.Usage, faults...)
		if r, end := b.ask(t, "", func() {}); end.Error == "" || end.Code != stream.BadRequest || r.Containers != nil {
			t.Errorf("%v: ended with %+v, after %+v", faults, end, r)
		}
	}
}

// Nobody measures for somebody who has left.
func TestLeaving(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if wait(ctx, gone{}) {
		t.Error("went on")
	}
}

type gone struct{ stream.Conn }

func (gone) Done() <-chan struct{} { return nil }
