package message

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// Limits of TestAttackMalformed: so many inputs, unless the machine is so slow that they take longer.
const (
	inputs     = 1_000_000
	longEnough = 10 * time.Second
	batch      = 1000
	// worth is how many bytes of memory decoding may take for each input on average: about five times what it does.
	worth = 2 << 10
)

// A million messages that are almost right: bits turned, lengths that claim gigabytes, ends cut off, parts doubled. Each
// is read or refused without a panic, and for no more memory than a message is worth, whatever it claims to hold. The
// attacker gets nothing.
func TestAttackMalformed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var before, after runtime.MemStats
	decoders := []func([]byte){
		tries[Leader], tries[Hello], tries[Heartbeat], tries[Presence], tries[Status], tries[Desired], tries[Content],
		tries[Request], tries[Response],
	}
	var valid [][]byte
	for _, s := range samples {
		valid = append(valid, Encode(s.message))
	}
	began, done := time.Now(), 0
	for ; done < inputs && time.Since(began) < longEnough; done += batch {
		runtime.ReadMemStats(&before)
		size := 0
		for range batch {
			raw := spoil(random, valid[random.IntN(len(valid))])
			size += len(raw)
			decoders[random.IntN(len(decoders))](raw)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > batch*worth {
			t.Fatalf("%d inputs of %d bytes took %d bytes of memory", batch, size, took)
		}
	}
	t.Logf("%d inputs in %s", done, time.Since(began).Round(time.Millisecond))
}

func tries[T any](raw []byte) { _, _ = Decode[T](raw) }

// spoil changes a copy in one to four places.
func spoil(random *rand.Rand, valid []byte) []byte {
	raw := append([]byte(nil), valid...)
	for range 1 + random.IntN(4) {
		if len(raw) == 0 {
			return raw
		}
		at := random.IntN(len(raw))
		switch random.IntN(6) {
		case 0:
			raw[at] ^= 1 << random.IntN(8)
		case 1:
			raw[at] = byte(random.Uint32())
		case 2:
			raw = raw[:at]
		case 3: // a length that is a lie: bytes, text, list or map of up to 2⁶⁴
			lie := []byte{byte(random.IntN(8))<<5 | byte(24+random.IntN(8)), 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
			copy(raw[at:], lie)
		case 4:
			raw = append(raw[:at:at], raw[at/2:]...)
		case 5: // deep
			for i := at; i < len(raw); i++ {
				raw[i] = 0x81
			}
		}
	}
	return raw
}
