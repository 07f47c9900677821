package stream

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

func at(seconds int) clock.Now { return clock.Now{}.Add(time.Duration(seconds) * time.Second) }

// Whatever the sizes of writes and reads, what arrives is what was sent, and never more than a window is
// under way.
func TestDataArrivesInOrderWithinTheWindow(t *testing.T) {
	for seed := range int64(50) {
		random := rand.New(rand.NewSource(seed))
		sender, receiver := NewMachine(1, Open{}, at(0)), NewMachine(1, Open{}, at(0))
		want := make([]byte, 10*Window)
		random.Read(want)
		rest := want
		var got, buffered []byte
		for steps := 0; len(got) < len(want); steps++ {
			if steps > 1e6 {
				t.Fatalf("seed %d: stuck after %d of %d bytes", seed, len(got), len(want))
			}
			if random.Intn(2) == 0 && len(rest) > 0 {
				f, n := sender.Send(Out, rest[:random.Intn(len(rest))+1], at(0))
				rest = rest[n:]
				if n > 0 {
					data, _, err := receiver.Receive(f, at(0))
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					buffered = append(buffered, data...)
				}
			} else if len(buffered) > 0 {
				n := random.Intn(len(buffered)) + 1
				got, buffered = append(got, buffered[:n]...), buffered[n:]
				if credit, due := receiver.Consumed(n, at(0)); due {
					if _, _, err := sender.Receive(credit, at(0)); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
			}
			if len(buffered) > Window {
				t.Fatalf("seed %d: %d bytes are buffered, more than a window", seed, len(buffered))
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: what arrived is not what was sent", seed)
		}
	}
}

// A frame that is missing ends the stream; one that comes twice does not.
func TestLostFrameIsNoticedAndRepeatedOneSkipped(t *testing.T) {
	sender, receiver := NewMachine(1, Open{}, at(0)), NewMachine(1, Open{}, at(0))
	first, _ := sender.Send(Out, []byte("a"), at(0))
	second, _ := sender.Send(Out, []byte("b"), at(0))
	third, _ := sender.Send(Out, []byte("c"), at(0))
	receive := func(f Frame, want string) {
		t.Helper()
		if data, _, err := receiver.Receive(f, at(0)); err != nil || string(data) != want {
			t.Fatalf("received %q, %v; want %q", data, err, want)
		}
	}
	receive(first, "a")
	receive(first, "")
	receive(second, "b")
	receive(first, "")
	fourth, _ := sender.Send(Out, []byte("d"), at(0))
	if _, _, err := receiver.Receive(fourth, at(0)); !errors.Is(err, ErrLost) {
		t.Errorf("after a gap: %v, want ErrLost", err)
	}
	_ = third
}

// The end is numbered like data: when the last piece got lost, a clean end is not believed.
func TestEndAfterLostDataIsAnError(t *testing.T) {
	sender, receiver := NewMachine(1, Open{}, at(0)), NewMachine(1, Open{}, at(0))
	sender.Send(Out, []byte("lost"), at(0))
	if _, ended, err := receiver.Receive(sender.Finish(End{}, at(0)), at(0)); !errors.Is(err, ErrLost) || ended != nil {
		t.Errorf("end after a lost frame: %v, %v; want ErrLost", ended, err)
	}
}

// A sender that ignores its credit is cut off before anything of it is kept.
func TestDataBeyondCreditIsRefused(t *testing.T) {
	receiver := NewMachine(1, Open{}, at(0))
	var number uint64
	for kept := 0; ; kept += MaxData {
		number++
		_, _, err := receiver.Receive(Frame{Stream: 1, Number: number, Data: make([]byte, MaxData)}, at(0))
		if kept >= Window {
			if err == nil {
				t.Fatalf("%d bytes without credit were taken", kept+MaxData)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Credit beyond any window is refused before it is counted, whatever the size of an int.
func TestAbsurdCreditIsRefused(t *testing.T) {
	for _, credit := range []uint32{1 << 31, 1<<32 - 1, 5 * Window} {
		m := NewMachine(1, Open{}, at(0))
		if _, _, err := m.Receive(Frame{Stream: 1, Credit: credit}, at(0)); err == nil {
			t.Errorf("credit for %d bytes was taken", credit)
		}
		if room := m.Room(); room < 0 || room > MaxData {
			t.Errorf("after credit for %d bytes there is room for %d", credit, room)
		}
	}
}

// A channel ends once, and nothing comes on it afterwards: else ends would cost memory without credit.
func TestAChannelEndsOnce(t *testing.T) {
	for _, after := range []Frame{{Stream: 1, Number: 2, Channel: In, Fin: true}, {Stream: 1, Number: 2, Channel: In, Data: []byte("x")}} {
		m := NewMachine(1, Open{}, at(0))
		if _, _, err := m.Receive(Frame{Stream: 1, Number: 1, Channel: In, Fin: true}, at(0)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Receive(after, at(0)); err == nil {
			t.Errorf("%+v was taken after the end of its channel", after)
		}
	}
}

// Ends say that they are alive, and give up on one that says nothing.
func TestSilence(t *testing.T) {
	m := NewMachine(1, Open{KeepAlive: 10_000, Patience: 30_000}, at(0))
	for _, step := range []struct {
		at           int
		alive, fails bool
	}{{5, false, false}, {10, true, false}, {12, false, false}, {20, true, false}, {30, false, true}} {
		_, alive, _, err := m.Tick(at(step.at))
		if alive != step.alive || (err != nil) != step.fails {
			t.Errorf("after %d s: alive %v, error %v; want %+v", step.at, alive, err, step)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(Frame{Stream: 7, Open: &Open{Kind: Logs, Logs: &LogOptions{Follow: true}}}))
	f.Add(Encode(Frame{Stream: 7, Number: 1, Channel: Out, Data: []byte("text")}))
	f.Add(Encode(Frame{Stream: 7, Number: 2, End: &End{Error: "words", Code: NotFound}}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := Decode(data)
		if err != nil {
			return
		}
		if len(frame.Data) > MaxData || frame.Stream == 0 {
			t.Errorf("accepted %+v", frame)
		}
		_, _, _ = NewMachine(frame.Stream, Open{}, at(0)).Receive(frame, at(0))
	})
}

// A report keeps its figures, and one that no machine can have sent is refused.
func TestUsageReport(t *testing.T) {
	want := UsageReport{WindowMilli: 512, Containers: []ContainerUsage{
		{UID: "u", Container: "c", CPUNano: 250e6, MemoryBytes: 64 << 20}, {UID: "u", Container: "idle"}}}
	got, err := DecodeUsage(EncodeUsage(want))
	if err != nil || len(got.Containers) != 2 || got.Containers[0] != want.Containers[0] || got.Window() != 512*time.Millisecond {
		t.Errorf("decoded %+v, %v", got, err)
	}
	for _, absurd := range []ContainerUsage{{CPUNano: 1 << 63}, {MemoryBytes: 1 << 63}} {
		if r, err := DecodeUsage(EncodeUsage(UsageReport{Containers: []ContainerUsage{absurd}})); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}
