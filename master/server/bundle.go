package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/skerry-edge/skerry/protocol/keyring"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// keyFiles are the files of the data directory that another master of this cluster needs besides the store: without one
// of them it would be another cluster, or could not read its own store. A file that holds a key and is not here is lost with
// the disk; TestEveryFileOfAMasterIsInItsPlace (test/wiring) knows all files that a master makes.
var keyFiles = []string{
	identityFile,     // nodes, kubeconfigs and join tokens know the cluster by it
	tokenKeysFile,    // service accounts' tokens
	keyring.FileName, // what is encrypted in the store
	recipientFile,    // for whom the next backup is sealed
}

// bundle reads the key files of a data directory.
func bundle(dir, cluster string) (recovery.Bundle, error) { return bundleOf(dir, cluster, keyFiles) }

// bundleForMaster is the same for another master. A cluster may have no recovery key yet, and more than one master.
func bundleForMaster(dir, cluster string) (recovery.Bundle, error) {
	names := keyFiles
	if has, err := exists(filepath.Join(dir, recipientFile)); err == nil && !has {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == recipientFile })
	}
	return bundleOf(dir, cluster, names)
}

func bundleOf(dir, cluster string, names []string) (recovery.Bundle, error) {
	b := recovery.Bundle{Cluster: cluster}
	for _, name := range names {
		path := filepath.Join(dir, name)
		data, err := readSmall(path)
		if errors.Is(err, fs.ErrNotExist) {
			return recovery.Bundle{}, fmt.Errorf("%s is missing, so that nothing would be whole that is saved now; put it back, or restart skerry-master", path)
		}
		if err != nil {
			return recovery.Bundle{}, fmt.Errorf("read a key file: %w", err)
		}
		b.Files = append(b.Files, recovery.File{Name: name, Data: data})
	}
	return b, nil
}

// readSmall reads a file of keys; one that is too large is none.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxIdentity+1))
	if err == nil && len(data) > maxIdentity {
		err = fmt.Errorf("%s has more than %d bytes", path, maxIdentity)
	}
	return data, err
}

// wrappedKeys are the key files as they may lie anywhere: only the recovery key opens them.
func (k *recoveryKeeper) wrappedKeys(to recovery.Recipient) ([]byte, error) {
	b, err := bundle(k.dir, k.cluster)
	if err != nil {
		return nil, err
	}
	return recovery.Wrap(b, to, rand.Reader)
}
