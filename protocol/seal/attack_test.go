package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// A million envelopes that are almost right, and a hundred thousand tokens: bits turned, ends cut off, parts doubled,
// heads of one kind on bodies of another. None opens, and nothing panics. The attacker gets nothing.
func TestAMillionEnvelopesThatAreAlmostRight(t *testing.T) {
	t.Parallel()
	const inputs, tokens = 1_000_000, 100_000
	const longEnough = 5 * time.Second // on a slow machine there are fewer
	began, done := time.Now(), 0
	random := rand.New(rand.NewPCG(7, 11))
	master, agent := boxes(t, "default", "n1")
	cluster, node := privateKey(t, aliceX25519), privateKey(t, bobX25519)
	joiner, err := NewJoiner(privateKey(t, test1Ed25519), node, publicKey(cluster), "default", "id1")
	if err != nil {
		t.Fatal(err)
	}
	good := [][]byte{
		agent.Seal(helloTopic, nodeRun, Run{}, 1, []byte("hello")),
		agent.Seal(reqTopic, nodeRun, masterRun, 2, bytes.Repeat([]byte{1}, 100)),
		master.Seal(reqTopic, masterRun, nodeRun, 3, []byte("run this")),
		joiner.Ask(helloTopic, nodeRun, 4, []byte("may I")),
		Write(nodeRun, 5, []byte("plain")),
	}
	opened := 0
	for ; done < inputs && time.Since(began) < longEnough; done++ {
		raw := spoil(random, good)
		e, err := Parse(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%x: %v", raw, err)
			}
			continue
		}
		if e.Version == Joining && random.IntN(100) != 0 {
			continue // each costs a key exchange: one in a hundred is tried
		}
		for _, receiver := range []Run{{}, masterRun} {
			if _, err := master.Open(helloTopic, receiver, raw); err == nil {
				if !bytes.Equal(raw, good[0]) {
					t.Fatalf("%x opens", raw)
				}
				opened++
			}
		}
		if _, _, err := OpenJoin(cluster, "default", "id1", helloTopic, raw); err == nil && !bytes.Equal(raw, good[3]) {
			t.Fatalf("%x opens as a join", raw)
		}
	}
	if opened == 0 {
		t.Error("not even the good one was ever among them")
	}
	t.Logf("%d envelopes in %s", done, time.Since(began).Round(time.Millisecond))
	texts := [][]byte{[]byte(sampleText), []byte(sampleText[:50] + sampleText)}
	for range tokens {
		text := spoil(random, texts)
		if token, err := ParseToken(string(text)); err == nil && token.ID() != sampleToken().ID() {
			t.Fatalf("%s is a token", text)
		}
	}
}

// spoil is one of the good ones with up to three mistakes.
func spoil(random *rand.Rand, good [][]byte) []byte {
	raw := bytes.Clone(good[random.IntN(len(good))])
	for range random.IntN(4) {
		if len(raw) == 0 {
			break
		}
		at := random.IntN(len(raw))
		switch random.IntN(5) {
		case 0:
			raw[at] ^= 1 << random.IntN(8)
		case 1:
			raw = raw[:at]
		case 2:
			raw = append(raw[:at:at], raw[at/2:]...)
		case 3:
			other := good[random.IntN(len(good))]
			raw = append(bytes.Clone(other[:min(len(other), at)]), raw[at:]...)
		case 4:
			raw[0] = byte(random.IntN(5))
		}
	}
	return raw
}
