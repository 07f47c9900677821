package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func makeRing(t *testing.T) *Ring {
	t.Helper()
	r, err := New(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensInItsPlaceOnly(t *testing.T) {
	r := makeRing(t)
	place, plain := []byte("place"), []byte("plain")
	sealed := r.Seal(place, plain)
	if len(sealed) != len(plain)+Overhead || bytes.Contains(sealed, plain) {
		t.Errorf("sealed is %q", sealed)
	}
	if got, err := r.Open(place, sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Open = %q, %v", got, err)
	}
	if bytes.Equal(sealed, r.Seal(place, plain)) {
		t.Error("sealing twice gives the same")
	}
	if got, err := r.Open([]byte("other"), sealed); !errors.Is(err, ErrDamaged) || got != nil {
		t.Errorf("in another place: %q, %v", got, err)
	}
	for n := range sealed {
		changed := bytes.Clone(sealed)
		changed[n] ^= 1
		want := ErrDamaged
		if n < idSize {
			want = ErrNoKey
		}
		if _, err := r.Open(place, changed); !errors.Is(err, want) {
			t.Errorf("with byte %d changed: %v", n, err)
		}
		if _, err := r.Open(place, sealed[:n]); err == nil {
			t.Errorf("cut off after %d bytes it opens", n)
		}
	}
	if got, err := r.Open(place, r.Seal(place, nil)); err != nil || got == nil || len(got) != 0 {
		t.Errorf("nothing, sealed, opens as %v, %v", got, err)
	}
	if _, err := (&Ring{}).Open(place, sealed); !errors.Is(err, ErrNoKey) {
		t.Errorf("without keys: %v", err)
	}
}

func TestTheFirstKeyEncryptsAllDecrypt(t *testing.T) {
	one := makeRing(t)
	both, err := one.Renewed()
	if err != nil {
		t.Fatal(err)
	}
	two := both.Newest()
	old, current := one.Seal(nil, []byte("x")), both.Seal(nil, []byte("x"))
	for _, c := range []struct {
		name   string
		ring   *Ring
		sealed []byte
		opens  bool
	}{
		{"both, old", both, old, true}, {"both, new", both, current, true},
		{"the old, new", one, current, false}, {"the new, old", two, old, false}, {"the new, new", two, current, true},
	} {
		if _, err := c.ring.Open(nil, c.sealed); (err == nil) != c.opens || err != nil && !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheFileKeepsAllKeys(t *testing.T) {
	r, err := makeRing(t).Renewed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(r.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before it is kept: %v", err)
	}
	for range 2 { // the second replaces the first
		if err := r.Keep(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(r.Path()); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := Load(r.Path())
	if err != nil || !bytes.Equal(again.encode(), r.encode()) {
		t.Errorf("Load = %v, %v", again, err)
	}
	if left, _ := filepath.Glob(r.Path() + "?*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestAKeyFileThatIsDamagedIsNamed(t *testing.T) {
	r := makeRing(t)
	whole := string(r.encode())
	line := whole[len(header):]
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "there is no key in it"},
		"comments":     {header, "there is no key in it"},
		"half a line":  {line[:20], "no key of 32 bytes"},
		"a word":       {"key", "line 1: it is not an id and a key"},
		"another id":   {"00000000" + line[8:], "does not belong to the id"},
		"another byte": {header + line[:9] + strings.ToLower(line[9:]), "line 3:"},
		"a short key":  {line[:9] + "AAAA\n", "no key of 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(r.Path(), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Load(r.Path())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), r.Path()) {
				t.Errorf("Load = %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), line[9:30]) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

func TestAKeyIsMadeOnlyWhereNothingNeedsAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if _, err := LoadOrMake(path, true); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), path+" is missing") {
		t.Errorf("with something sealed: %v", err)
	}
	first, err := LoadOrMake(path, false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrMake(path, true)
	if err != nil || !bytes.Equal(first.encode(), again.encode()) {
		t.Errorf("again: %v, %v", again, err)
	}
}

func TestARingDoesNotPrintItsKeys(t *testing.T) {
	r := makeRing(t)
	for _, text := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r)} {
		if text != "1 keys of "+r.Path() {
			t.Errorf("printed: %s", text)
		}
	}
}
