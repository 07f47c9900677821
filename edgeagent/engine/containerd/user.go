package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/oci"
	continuity "github.com/containerd/continuity/fs"
	"github.com/moby/sys/user"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// userOption sets the spec's user, or the image's, with the groups that /etc/group of the image and the spec add.
//
// containerd's own options for this are not used: they draw in text/template, whose reflection keeps the linker from
// leaving out the methods that nothing calls, which is a fifth of the whole program.
func userOption(spec engine.Spec, config ocispec.ImageConfig) oci.SpecOpts {
	text := config.User
	if spec.User != nil {
		text = strconv.FormatInt(*spec.User, 10)
		if spec.Group != nil {
			text += ":" + strconv.FormatInt(*spec.Group, 10)
		}
	}
	return func(ctx context.Context, c oci.Client, container *containers.Container, s *oci.Spec) error {
		mounts, err := c.SnapshotService(container.Snapshotter).Mounts(ctx, container.SnapshotKey)
		if err != nil {
			return fmt.Errorf("find the container's files: %w", err)
		}
		return mount.WithReadonlyTempMount(ctx, mounts, func(dir string) error {
			found, err := resolveUser(dir, text)
			if err != nil {
				return err
			}
			if spec.User == nil && spec.Group != nil {
				found.gid = uint32(*spec.Group)
			}
			for _, g := range spec.Groups {
				found.groups = append(found.groups, uint32(g))
			}
			u := &s.Process.User
			u.UID, u.GID, u.AdditionalGids = found.uid, found.gid, []uint32{found.gid} // a process is in its own group, too
			for _, gid := range found.groups {
				if !slices.Contains(u.AdditionalGids, gid) {
					u.AdditionalGids = append(u.AdditionalGids, gid)
				}
			}
			return nil
		})
	}
}

// identity is who a process runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32 // that the image's /etc/group puts the user in
}

// resolveUser reads USER or USER:GROUP, names or numbers, as Docker does: a number need not be known to the image, a
// name must be. Without a group it is that of /etc/passwd, or 0. An empty text is root.
func resolveUser(root string, text string) (identity, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	if strings.Contains(group, ":") {
		return identity{}, fmt.Errorf("the image's USER %q is neither a user nor user:group", text)
	}
	if name == "" {
		name = "0"
	}
	var out identity
	uid, numeric, err := numericID(name)
	if err != nil {
		return identity{}, fmt.Errorf("the image's USER %q: %w", text, err)
	}
	out.uid = uid
	entries, err := parse(root, "/etc/passwd", func(r io.Reader) ([]user.User, error) {
		return user.ParsePasswdFilter(r, func(u user.User) bool { return numeric && u.Uid == int(uid) || !numeric && u.Name == name })
	})
	switch {
	case err != nil:
		return identity{}, err
	case len(entries) > 0:
		out.uid, out.gid, name = uint32(entries[0].Uid), uint32(entries[0].Gid), entries[0].Name
	case !numeric:
		return identity{}, fmt.Errorf("the image's USER %q: no users found", text) // in Docker's words
	default:
		name = ""
	}
	if hasGroup {
		if out.gid, err = findGroup(root, text, group); err != nil {
			return identity{}, err
		}
	}
	groups, err := parse(root, "/etc/group", func(r io.Reader) ([]user.Group, error) {
		return user.ParseGroupFilter(r, func(g user.Group) bool { return name != "" && g.Name != name && slices.Contains(g.List, name) })
	})
	for _, g := range groups {
		out.groups = append(out.groups, uint32(g.Gid))
	}
	return out, err
}

func findGroup(root string, text, group string) (uint32, error) {
	gid, numeric, err := numericID(group)
	if err != nil {
		return 0, fmt.Errorf("the image's USER %q: %w", text, err)
	}
	if numeric {
		return gid, nil
	}
	groups, err := parse(root, "/etc/group", func(r io.Reader) ([]user.Group, error) {
		return user.ParseGroupFilter(r, func(g user.Group) bool { return g.Name == group })
	})
	if err == nil && len(groups) == 0 {
		err = fmt.Errorf("the image's USER %q: no groups found", text)
	}
	if err != nil {
		return 0, err
	}
	return uint32(groups[0].Gid), nil
}

// numericID reads an id. runc takes none above the largest signed 32-bit number.
func numericID(text string) (id uint32, ok bool, err error) {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (n < 0 || n > math.MaxInt32):
		return 0, false, fmt.Errorf("the id %s is out of range", text)
	case err != nil:
		return 0, false, nil
	}
	return uint32(n), true, nil
}

// maxUserFile is how much of an image's /etc/passwd and /etc/group is read.
const maxUserFile = 1 << 20

// parse reads a file of the image at root; one that is not there, or no file, has nothing in it. Links, also absolute
// ones, lead nowhere but into the image.
func parse[T any](root string, name string, read func(io.Reader) ([]T, error)) (found []T, err error) {
	path, err := continuity.RootPath(root, name)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return nil, nil
		}
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		defer file.Close()
		found, err = read(io.LimitReader(file, maxUserFile))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of the image: %w", name, err)
	}
	return found, nil
}
