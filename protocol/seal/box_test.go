package seal

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The cluster's key is Alice's of RFC 7748 section 6.1, the node's is Bob's.
const bobX25519 = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"

var (
	masterRun = Run{Number: 0x01020304, Nonce: 0x1112131415161718}
	nodeRun   = Run{Number: 7, Nonce: 0x99}
)

const reqTopic, helloTopic = "skerry/default/n/n1/req", "skerry/default/n/n1/hello"

func privateKey(t testing.TB, text string) *ecdh.PrivateKey {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(key *ecdh.PrivateKey) [32]byte { return [32]byte(key.PublicKey().Bytes()) }

func boxes(t testing.TB, cluster, node string) (master, agent *Box) {
	t.Helper()
	alice, bob := privateKey(t, aliceX25519), privateKey(t, bobX25519)
	master, errM := NewBox(Master, alice, publicKey(bob), cluster, node)
	agent, errA := NewBox(Node, bob, publicKey(alice), cluster, node)
	if errM != nil || errA != nil {
		t.Fatal(errM, errA)
	}
	return master, agent
}

// The answers were computed by another implementation of X25519, HKDF and ChaCha20-Poly1305, from the description
// in the comment of Box.
func TestBoxKnownAnswers(t *testing.T) {
	t.Parallel()
	master, agent := boxes(t, "default", "n1")
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"to the node's run": {
			master.Seal(reqTopic, masterRun, nodeRun, 0x2122232425262728, []byte("body")),
			"020102030411121314151617182122232425262728f4e486d133a20acc2a7aff23a7c9a0600a57b561",
		},
		"to whichever master comes": {
			agent.Seal(helloTopic, nodeRun, Run{}, 1, []byte("hello")),
			"0200000007000000000000009900000000000000010c69f876169d1640b8c983760e7a1b9af9331f3375",
		},
	} {
		if got := hex.EncodeToString(c.raw); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
	if m, a := master.Password(), agent.Password(); m != a || m != "ENAHZbHl-IjK5ZByZuMLYXo9T-Jfezj9" {
		t.Errorf("passwords %s and %s", m, a)
	}
}

func TestJoinKnownAnswers(t *testing.T) {
	t.Parallel()
	const ask, answer = "skerry/default/join/id1/ask", "skerry/default/join/id1/answer"
	cluster, node := privateKey(t, aliceX25519), privateKey(t, bobX25519)
	attempt := privateKey(t, "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20")
	joiner, err := NewJoiner(attempt, node, publicKey(cluster), "default", "id1")
	if err != nil {
		t.Fatal(err)
	}
	raw := joiner.Ask(ask, nodeRun, 1, []byte("ask"))
	if got := hex.EncodeToString(raw); got != "030000000700000000000000990000000000000001"+
		"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7cd097035cb2ef9baa0f80f7b9fc68dd6cdf1035" {
		t.Errorf("the first message is %s", got)
	}
	e, public, err := OpenJoin(cluster, "default", "id1", ask, raw)
	if err != nil || string(e.Body) != "ask" || e.Sender != nodeRun || public != publicKey(attempt) {
		t.Fatalf("opened as %+v, %v", e, err)
	}
	master, err := NewJoinBox(cluster, public, publicKey(node), "default", "id1")
	if err != nil {
		t.Fatal(err)
	}
	raw = master.Seal(answer, masterRun, nodeRun, 5, []byte("answer"))
	if e, err := joiner.Box().Open(answer, nodeRun, raw); err != nil || string(e.Body) != "answer" {
		t.Errorf("opened as %+v, %v", e, err)
	}
	if got := hex.EncodeToString(raw); got != "020102030411121314151617180000000000000005c2cd138a9a8e1e120a062f7b484e3af8d26b096565ae" {
		t.Errorf("the answer is %s", got)
	}

	t.Run("who overhears the first message can't go on as that node", func(t *testing.T) {
		thief, err := NewJoinBox(privateKey(t, bobX25519), public, publicKey(node), "default", "id1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := thief.Open(ask, Run{}, joiner.Box().Seal(ask, nodeRun, Run{}, 2, []byte("secret"))); !errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the first message is of its attempt, cluster and topic", func(t *testing.T) {
		raw := joiner.Ask(ask, nodeRun, 1, []byte("ask"))
		for name, open := range map[string]func() error{
			"another id":      func() error { _, _, err := OpenJoin(cluster, "default", "id2", ask, raw); return err },
			"another cluster": func() error { _, _, err := OpenJoin(cluster, "other", "id1", ask, raw); return err },
			"another topic":   func() error { _, _, err := OpenJoin(cluster, "default", "id1", answer, raw); return err },
			"another key":     func() error { _, _, err := OpenJoin(node, "default", "id1", ask, raw); return err },
		} {
			if err := open(); !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Only the other end of this very channel can have made what opens.
func TestBoxRefuses(t *testing.T) {
	t.Parallel()
	master, agent := boxes(t, "default", "n1")
	good := master.Seal(reqTopic, masterRun, nodeRun, 9, []byte("run this"))
	if e, err := agent.Open(reqTopic, nodeRun, good); err != nil || string(e.Body) != "run this" {
		t.Fatalf("the good one opens as %+v, %v", e, err)
	}
	_, otherNode := boxes(t, "default", "n2")
	_, otherCluster := boxes(t, "prod", "n1")
	stranger, err := NewBox(Node, privateKey(t, test1Ed25519), publicKey(privateKey(t, aliceX25519)), "default", "n1")
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Clone(good)
	plain[0] = Plain
	for name, open := range map[string]func() error{
		"on another topic":      func() error { _, err := agent.Open("skerry/default/n/n1/desired", nodeRun, good); return err },
		"to another run":        func() error { _, err := agent.Open(reqTopic, Run{Number: 7, Nonce: 0x98}, good); return err },
		"to whichever run":      func() error { _, err := agent.Open(reqTopic, Run{}, good); return err },
		"sent back":             func() error { _, err := master.Open(reqTopic, nodeRun, good); return err },
		"by another node":       func() error { _, err := otherNode.Open(reqTopic, nodeRun, good); return err },
		"in another cluster":    func() error { _, err := otherCluster.Open(reqTopic, nodeRun, good); return err },
		"with another key":      func() error { _, err := stranger.Open(reqTopic, nodeRun, good); return err },
		"as if it were plain":   func() error { _, err := agent.Open(reqTopic, nodeRun, plain); return err },
		"without its last byte": func() error { _, err := agent.Open(reqTopic, nodeRun, good[:len(good)-1]); return err },
		"with nothing sealed":   func() error { _, err := agent.Open(reqTopic, nodeRun, good[:headerSize]); return err },
	} {
		if err := open(); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1
		if _, err := agent.Open(reqTopic, nodeRun, changed); err == nil {
			t.Errorf("it opens with byte %d changed", i)
		}
	}
}

// The ciphers that are kept serve the right runs, in whatever order they come.
func TestBoxWithManyRuns(t *testing.T) {
	t.Parallel()
	master, agent := boxes(t, "default", "n1")
	for i := range 60 {
		receiver := Run{Number: uint32(i % 5), Nonce: 1}
		if i%4 == 0 {
			receiver = Run{}
		}
		sender := Run{Number: uint32(1 + i%3)}
		body := []byte(fmt.Sprint("message ", i))
		e, err := master.Open(helloTopic, receiver, agent.Seal(helloTopic, sender, receiver, uint64(i), body))
		want := Envelope{Version: Sealed, Sender: sender, Sequence: uint64(i), Body: body}
		if diff := cmp.Diff(want, e); err != nil || diff != "" {
			t.Fatalf("message %d: %v\n%s", i, err, diff)
		}
	}
}

// A public key of small order would make the secret a known one.
func TestBoxRefusesBadKeys(t *testing.T) {
	t.Parallel()
	if _, err := NewBox(Master, privateKey(t, aliceX25519), [32]byte{}, "default", "n1"); err == nil {
		t.Error("a box was made with the public key 0")
	}
}

func TestBoxDoesNotPrint(t *testing.T) {
	t.Parallel()
	master, _ := boxes(t, "default", "n1")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, master); strings.ContainsAny(text, "0123456789[") {
			t.Errorf("%s prints %q", format, text)
		}
	}
}

// FuzzBox: nothing that the other end has not sealed opens, and nothing panics.
func FuzzBox(f *testing.F) {
	_, agent := boxes(f, "default", "n1")
	cluster := privateKey(f, aliceX25519)
	good := agent.Seal(helloTopic, nodeRun, Run{}, 1, []byte("hello"))
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add(append([]byte{Joining}, good[1:]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		master, _ := boxes(t, "default", "n1")
		e, err := master.Open(helloTopic, Run{}, raw)
		if err == nil && !bytes.Equal(raw, good) {
			t.Errorf("%x opens to %+v", raw, e)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnreadable) {
			t.Errorf("%x: %v", raw, err)
		}
		if _, _, err := OpenJoin(cluster, "default", "id", "topic", raw); err == nil {
			t.Errorf("%x opens as a join", raw)
		}
	})
}

func BenchmarkBox(b *testing.B) {
	master, agent := boxes(b, "default", "n1")
	body := bytes.Repeat([]byte{1}, 48)
	var sequence uint64
	for b.Loop() {
		sequence++
		if _, err := master.Open(helloTopic, masterRun, agent.Seal(helloTopic, nodeRun, masterRun, sequence, body)); err != nil {
			b.Fatal(err)
		}
	}
}
