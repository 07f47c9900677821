package containerd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who a process runs as, for what images and specs say.
func TestResolveUser(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nwww:x:33:30:www:/:/bin/false\napp:x:1000:1000::/:/bin/sh\n",
		"group":  "root:x:0:\nwww:x:30:\napp:x:1000:app\nspi:x:7:app,www\ngpio:x:8:app\n",
	} {
		// An image may keep them elsewhere, behind a link that is absolute in the container.
		if err := os.MkdirAll(filepath.Join(root, "nix"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "nix", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/nix/"+name, filepath.Join(root, "etc", name)); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]identity{
		"":          {0, 0, nil},
		"root":      {0, 0, nil},
		"www":       {33, 30, []uint32{7}},
		"33":        {33, 30, []uint32{7}},
		"app":       {1000, 1000, []uint32{7, 8}},
		"app:spi":   {1000, 7, []uint32{7, 8}},
		"app:5":     {1000, 5, []uint32{7, 8}},
		"2000":      {2000, 0, nil},
		"2000:2000": {2000, 2000, nil},
		"2000:gpio": {2000, 8, nil},
	} {
		got, err := resolveUser(root, text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(identity{})); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"nobody": "no users found", "app:none": "no groups found", "a:b:c": "neither a user nor user:group",
		"2147483648": "the id 2147483648 is out of range", "-1": "out of range", "app:99999999999999999999": "out of range",
	} {
		if _, err := resolveUser(root, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if got, err := resolveUser(t.TempDir(), "5:6"); err != nil || got.uid != 5 || got.gid != 6 {
		t.Errorf("without files: %+v, %v", got, err)
	}
	if _, err := resolveUser(t.TempDir(), "app"); err == nil {
		t.Error("a name that nothing knows is taken")
	}
}

// An image whose files are links out of it learns nothing of the node.
func TestUserFilesOutOfTheImage(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte("app:x:0:0::/:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"absolute": outside, "relative": "../../outside"} {
		image := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(image, "etc"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(image, "etc", "passwd")); err != nil {
			t.Fatal(err)
		}
		if got, err := resolveUser(image, "app"); err == nil {
			t.Errorf("%s: it runs as %+v", name, got)
		}
	}
}
