package stream

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// Limits of TestAttackMalformed: so many frames, unless the machine is so slow that they take longer.
const (
	inputs     = 1_000_000
	longEnough = 10 * time.Second
	batch      = 1000
	worth      = 4 << 10 // bytes of memory for each frame
)

// A million frames that are almost right reach the end of a stream, one after the other: it takes them, refuses them or
// ends, without a panic and for no more memory than a frame is worth. The attacker gets nothing but the end of a stream of
// their own.
func TestAttackMalformed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	valid := [][]byte{
		Encode(Frame{Stream: 7, Open: &Open{Kind: Logs, Logs: &LogOptions{Follow: true}}}),
		Encode(Frame{Stream: 7, Number: 1, Channel: Out, Data: make([]byte, 100)}),
		Encode(Frame{Stream: 7, Number: 2, End: &End{Error: "words", Code: NotFound}}),
		EncodeUsage(UsageReport{Containers: []ContainerUsage{{UID: "u", Container: "c", CPUNano: 1, MemoryBytes: 2}}}),
	}
	var before, after runtime.MemStats
	m := NewMachine(7, Open{}, at(0))
	began, done := time.Now(), 0
	for ; done < inputs && time.Since(began) < longEnough; done += batch {
		runtime.ReadMemStats(&before)
		for range batch {
			raw := append([]byte(nil), valid[random.IntN(len(valid))]...)
			for range 1 + random.IntN(3) {
				switch at := random.IntN(len(raw)); random.IntN(4) {
				case 0:
					raw[at] ^= 1 << random.IntN(8)
				case 1:
					raw = raw[:at+1]
				case 2: // a length that is a lie
					copy(raw[at:], []byte{byte(random.IntN(8))<<5 | byte(24+random.IntN(8)), 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
				case 3:
					raw = append(raw[:at:at], raw[at/2:]...)
				}
			}
			_, _ = DecodeUsage(raw)
			if frame, err := Decode(raw); err == nil {
				if _, ended, err := m.Receive(frame, at(0)); err != nil || ended != nil {
					m = NewMachine(7, Open{}, at(0))
				}
			}
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > batch*worth {
			t.Fatalf("%d frames took %d bytes of memory", batch, took)
		}
	}
	t.Logf("%d frames in %s", done, time.Since(began).Round(time.Millisecond))
}
