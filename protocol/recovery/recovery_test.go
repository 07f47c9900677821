package recovery

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The answers of another implementation, made from doc.go's text.
const (
	knownKey       = "skr1-aaaqeaye-audaocaj-bifqydio-b4ibceqt-cqkrmfyy-denbwha5-dyp5urp2"
	knownRecipient = "skrp1-mgex4m64-axv7fblt-irkxwzc4-pjjctacu-fo3fvl5e-gprzc65a-wq7ewh6x"
	knownID        = "63bc9597baaf3140"
	knownWrapped   = "0163bc9597baaf314013be4feaeaf204c7fd3358fc9c00721881d174278128227ec674f37f7fe97b6d3f9ce5ddebd44d3e89dba9b516898254c639b101ad126a3873da092b9fba4546bbc14350ff"
	knownBackup    = "534b525942414b0163bc9597baaf314057db4b359f23ae5e146e4e2512056704722506348c150c14753d0c933d04d42100687b22636c7573746572223a22686f6d65222c227465726d223a312c227374617274223a322c227265766973696f6e223a332c2274696d65223a22323032362d30312d30325430333a30343a30355a222c2276657273696f6e223a2276222c2273746f7265223a357d178530f712ef4121188ba4c5ca79faaf54a8784f8f94854e9414e819e4644ce1a3dcf2a339027277c854b0feb2fa9dbcf1622e232c875c32cafce3b1ddaadf642ce69ed483fa5f6b81eb367c6d04d713bad09c6826f47adbff917d314ade6437bedfaba61dae63d33901b26afed9a51aa2065f52b644eec93abfdb0826b93eb6eb7dc180a3d0fe"
)

var (
	someBundle = Bundle{Cluster: "home", Files: []File{{Name: "a.pem", Data: []byte{1, 2}}}}
	someInfo   = Info{Cluster: "home", Term: 1, Start: 2, Rev: 3, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v", Store: 5}
)

// counting is the key of the bytes 0 to 31.
func counting(t testing.TB) Key {
	t.Helper()
	var raw [keySize]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	k, err := NewKey(bytes.NewReader(raw[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// same is randomness that is none.
func same(b byte) io.Reader { return bytes.NewReader(bytes.Repeat([]byte{b}, keySize)) }

func write(t testing.TB, to Recipient, store []byte, random io.Reader) []byte {
	t.Helper()
	wrapped, err := Wrap(someBundle, to, same(7))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	info := someInfo
	info.Store = int64(len(store))
	w, err := NewWriter(&out, to, info, wrapped, random)
	if err != nil {
		t.Fatal(err)
	}
	for len(store) > 0 { // in uneven pieces
		n := min(len(store), 40_001)
		if _, err := w.Write(store[:n]); err != nil {
			t.Fatal(err)
		}
		store = store[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read opens a backup and reads all of it.
func read(data []byte, key Key) (*Reader, []byte, error) {
	r, err := Open(bytes.NewReader(data), int64(len(data)), key)
	if err != nil {
		return nil, nil, err
	}
	store, err := io.ReadAll(r)
	return r, store, err
}

func TestKnownAnswers(t *testing.T) {
	k := counting(t)
	to := k.Recipient()
	wrapped, err := Wrap(someBundle, to, same(7))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{k.Text(), to.String(), to.ID(), hex.EncodeToString(wrapped), hex.EncodeToString(write(t, to, []byte("store"), same(9)))}
	if diff := cmp.Diff([]string{knownKey, knownRecipient, knownID, knownWrapped, knownBackup}, got); diff != "" {
		t.Error(diff)
	}
	if back, err := Unwrap(wrapped, k); err != nil || !cmp.Equal(back, someBundle) {
		t.Errorf("unwrapped: %#v, %v", back.Files, err)
	}
}

// People copy keys from paper and screens; what they make of it is the same key, or an error that does not show it.
func TestKeyText(t *testing.T) {
	k := counting(t)
	for name, text := range map[string]string{
		"as shown":      knownKey,
		"shouted":       strings.ToUpper(knownKey),
		"wrapped":       "\n  " + knownKey[:30] + "\r\n" + knownKey[30:] + "\n",
		"with a remark": "# of the barn\n" + knownKey + "\n",
		"no dashes":     strings.ReplaceAll(knownKey, "-", ""),
	} {
		if got, err := ParseKey(text); err != nil || got != k {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":          {"# nothing\n", errKeyEmpty},
		"a join token":   {"sk1.abcdef", errKeyPrefix},
		"public":         {knownRecipient, errKeyPublic},
		"cut":            {knownKey[:len(knownKey)-1], errKeyTyped},
		"more":           {knownKey + "a", errKeyTyped},
		"not its letter": {strings.Replace(knownKey, "a", "0", 1), errKeyTyped},
	} {
		if _, err := ParseKey(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for at := len("skr1-"); at < len(knownKey); at++ { // a letter that is another one
		if knownKey[at] == '-' {
			continue
		}
		wrong := knownKey[:at] + "b" + knownKey[at+1:]
		if knownKey[at] == 'b' {
			wrong = knownKey[:at] + "a" + knownKey[at+1:]
		}
		if _, err := ParseKey(wrong); !errors.Is(err, errKeyTyped) || strings.Contains(err.Error(), knownKey[10:18]) {
			t.Errorf("mistyped at %d: %v", at, err)
		}
	}
	if _, err := ParseKey(strings.Repeat("a", maxText+1)); err == nil {
		t.Error("a long text is a key")
	}
	if to, err := ParseRecipient(k.Recipient().String()); err != nil || to != k.Recipient() {
		t.Errorf("the recipient: %v", err)
	}
	if _, err := ParseRecipient(encode(recipientPrefix, [32]byte{})); err == nil {
		t.Error("a public key of small order is a recipient")
	}
	if _, err := ParseRecipient(knownKey); err == nil || strings.Contains(err.Error(), knownKey[10:18]) {
		t.Errorf("a key as a recipient: %v", err)
	}
}

// What is lost, changed, swapped or added anywhere in a backup keeps it from being read to its end, with the checksum
// and without. Nothing that comes out before differs from what was written.
func TestAChangedBackupIsNone(t *testing.T) {
	k := counting(t)
	store := make([]byte, 2*chunkSize+9000)
	for i := range store {
		store[i] = byte(i * i >> 8)
	}
	whole := write(t, k.Recipient(), store, same(9))
	if r, got, err := read(whole, k); err != nil || !bytes.Equal(got, store) || r.Info.Cluster != "home" || !cmp.Equal(r.Bundle, someBundle) {
		t.Fatalf("whole: %d bytes, %v", len(got), err)
	}
	c, err := Check(bytes.NewReader(whole))
	if err != nil || c.KeyID != knownID || c.Bytes != int64(len(whole)) || c.Rev != 3 {
		t.Fatalf("checked: %+v, %v", c, err)
	}
	refused := func(name string, data []byte) {
		t.Helper()
		if _, err := Check(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: it passes the check", name)
		}
		_, got, err := read(data, k)
		if err == nil {
			t.Errorf("%s: it opens", name)
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.HasPrefix(store, got) {
			t.Errorf("%s: something else came out", name)
		}
	}
	trailer := len(whole) - trailerSize
	for at := 0; at < trailer; at++ {
		if at > 250 && at < trailer-20 && at%4999 != 0 { // all of the head, some of the chunks
			continue
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 1 << (at % 8)
		refused("changed at "+hex.EncodeToString([]byte{byte(at >> 16), byte(at >> 8), byte(at)}), changed)
	}
	for at := 0; at < len(whole); at += 1 + at/3 {
		refused("cut", whole[:at])
	}
	refused("cut by one", whole[:len(whole)-1])
	refused("one more", append(bytes.Clone(whole), 0))
	first := bytes.Index(whole, []byte("}")) + 1
	one, two := whole[first:first+sealedChunk], whole[first+sealedChunk:first+2*sealedChunk]
	for name, chunks := range map[string][][]byte{
		"swapped": {two, one, whole[first+2*sealedChunk : trailer]}, "repeated": {one, one, two, whole[first+2*sealedChunk : trailer]},
		"one missing": {one, whole[first+2*sealedChunk : trailer]}, "the last missing": {one, two}, "none": {},
	} {
		data := append(bytes.Clone(whole[:first]), bytes.Join(chunks, nil)...)
		_, got, err := read(append(data, make([]byte, trailerSize)...), k)
		if !errors.Is(err, ErrDamaged) || !bytes.HasPrefix(store, got) {
			t.Errorf("chunks %s: %v", name, err)
		}
	}
	// The checksum is for everybody: changed alone it is noticed where it is looked at.
	for at := trailer; at < len(whole); at++ {
		changed := bytes.Clone(whole)
		changed[at] ^= 0x10
		if _, err := Check(bytes.NewReader(changed)); !errors.Is(err, ErrDamaged) {
			t.Errorf("checksum changed at %d: %v", at, err)
		}
	}
}

// However large a store is, a backup of it takes the memory of a few chunks, to write, to check and to read.
func TestMemory(t *testing.T) {
	k := counting(t)
	whole := write(t, k.Recipient(), make([]byte, 16<<20), same(9))
	allocated := func(do func() error) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := do(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name, do := range map[string]func() error{
		"check": func() error { _, err := Check(bytes.NewReader(whole)); return err },
		"read": func() error {
			r, err := Open(bytes.NewReader(whole), int64(len(whole)), k)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			return err
		},
		"write": func() error {
			w, err := NewWriter(io.Discard, k.Recipient(), someInfo, nil, same(9))
			for range 256 {
				if _, err := w.Write(whole[:chunkSize]); err != nil {
					return err
				}
			}
			return errors.Join(err, w.Close())
		},
	} {
		if bytes := allocated(do); bytes > 1<<20 {
			t.Errorf("to %s takes %d bytes", name, bytes)
		}
	}
}

// Backups whose chunks end where the store does are no special case.
func TestSizes(t *testing.T) {
	k := counting(t)
	wrapped, err := Wrap(someBundle, k.Recipient(), same(7))
	if err != nil {
		t.Fatal(err)
	}
	before := lengthSize + len(wrapped)
	for _, size := range []int{0, 1, chunkSize - before - 1, chunkSize - before, chunkSize - before + 1, 2*chunkSize - before} {
		store := bytes.Repeat([]byte("s"), size)
		data := write(t, k.Recipient(), store, same(9))
		if _, got, err := read(data, k); err != nil || !bytes.Equal(got, store) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		if _, err := Check(bytes.NewReader(data)); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestAnotherKey(t *testing.T) {
	k := counting(t)
	other, err := NewKey(same(3))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = read(write(t, k.Recipient(), []byte("store"), same(9)), other)
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), knownID) || !strings.Contains(err.Error(), other.Recipient().ID()) {
		t.Errorf("backup: %v", err)
	}
	wrapped, err := hex.DecodeString(knownWrapped)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(wrapped, other); !errors.Is(err, ErrKey) {
		t.Errorf("keys: %v", err)
	}
	id := other.Recipient().id()
	copy(wrapped[1:], id[:]) // as if it were theirs
	if _, err := Unwrap(wrapped, other); !errors.Is(err, ErrDamaged) {
		t.Errorf("relabelled: %v", err)
	}
}

// No changed bit of wrapped keys opens, nor a part of them.
func TestChangedKeysDoNotOpen(t *testing.T) {
	k := counting(t)
	wrapped, err := hex.DecodeString(knownWrapped)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(wrapped) {
		changed := bytes.Clone(wrapped)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := Unwrap(changed, k); err == nil {
			t.Errorf("bit %d", bit)
		}
	}
	for n := range wrapped {
		if _, err := Unwrap(wrapped[:n], k); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := Unwrap(make([]byte, MaxWrapped+1), k); !errors.Is(err, ErrDamaged) {
		t.Errorf("too long: %v", err)
	}
}

func TestBundleBounds(t *testing.T) {
	k := counting(t)
	for name, files := range map[string][]File{
		"none": nil, "a path": {{Name: "../passwd"}}, "hidden": {{Name: ".x"}}, "no name": {{}}, "twice": {{Name: "a"}, {Name: "a"}},
		"too large": {{Name: "a", Data: make([]byte, maxFile+1)}}, "too many": make([]File, maxFiles+1), "an option": {{Name: "-rf"}},
	} {
		if _, err := Wrap(Bundle{Cluster: "home", Files: files}, k.Recipient(), same(7)); err == nil {
			t.Errorf("%s: it is wrapped", name)
		}
		if err := (Bundle{Cluster: "home", Files: files}).Place(t.TempDir()); err == nil {
			t.Errorf("%s: it is placed", name)
		}
	}
}

// FuzzOpen: whatever a file holds, it opens as it was written or not at all, within bounds.
func FuzzOpen(f *testing.F) {
	backup, err := hex.DecodeString(knownBackup)
	if err != nil {
		f.Fatal(err)
	}
	wrapped, err := hex.DecodeString(knownWrapped)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(backup)
	f.Add(wrapped)
	f.Add(backup[:fixedHead])
	k := counting(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		checked, checkErr := Check(bytes.NewReader(data))
		r, store, err := read(data, k)
		if err == nil && checkErr == nil && (string(store) != "store" || checked.Info != someInfo || !cmp.Equal(r.Bundle, someBundle)) {
			t.Errorf("%q was forged", store)
		}
		if b, err := Unwrap(data, k); err == nil && !cmp.Equal(b, someBundle) {
			t.Errorf("%v was forged", b.Files)
		}
		if key, err := ParseKey(string(data)); err == nil {
			if again, err := ParseKey(key.Text()); err != nil || again != key {
				t.Errorf("read back: %v", err)
			}
		}
	})
}
