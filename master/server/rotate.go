package server

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

// RotateSecretKey encrypts what is secret in the data directory under a new key. No master may run meanwhile.
func RotateSecretKey(config Config, out io.Writer) error {
	if config.Etcd.used() {
		return daemon.Usage(errors.New("rotate-secret-key: the Secrets of this cluster lie in etcd too, encrypted under the key that all its masters share; " +
			"changing that is not supported yet"))
	}
	if err := bolt.Rotate(bolt.Config{Dir: config.DataDir, Sealed: resource.Sealed()}); err != nil {
		return err
	}
	fmt.Fprintf(out, "The Secrets in %s are encrypted under a new key. Backups of before need the old %s.\n",
		config.DataDir, filepath.Join(config.DataDir, keyring.FileName))
	return nil
}
