package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	identityName = "identity"
	identityMax  = 64 << 10 // bytes; a join token and a few keys
)

// Identity is who the node is and how it joined, as KeepIdentity had it; nil before the first join.
func (d *Disk) Identity() ([]byte, error) {
	data, err := d.readIdentity()
	if err != nil {
		return nil, fmt.Errorf("read the node's identity: %w", err)
	}
	sealed, is := bytes.CutPrefix(data, sealedIdentity)
	if !is {
		return data, nil
	}
	plain, err := d.ring.Open(identityPlace, sealed)
	if err != nil {
		return nil, d.keyError("the node's identity", err)
	}
	return plain, nil
}

func (d *Disk) readIdentity() ([]byte, error) {
	file, err := os.Open(filepath.Join(d.dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, identityMax+1))
	if err == nil && len(data) > identityMax {
		err = fmt.Errorf("%s is larger than %d bytes", file.Name(), identityMax)
	}
	return data, err
}

// KeepIdentity replaces the identity. The file is only readable for its owner.
func (d *Disk) KeepIdentity(data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, err := d.Identity(); err == nil && old != nil && bytes.Equal(old, data) {
		return nil
	}
	if err := d.save(func() error { return d.replaceIdentity(data) }); err != nil {
		return fmt.Errorf("keep the node's identity: %w", err)
	}
	return nil
}

func (d *Disk) replaceIdentity(data []byte) error {
	path := filepath.Join(d.dir, identityName)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(sealedIdentity[:len(sealedIdentity):len(sealedIdentity)], d.ring.Seal(identityPlace, data)...))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(d.dir)
}
