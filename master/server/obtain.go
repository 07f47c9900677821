package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/skerry-edge/skerry/master/etcdsync"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/keyring"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// obtainKeys gives a directory without keys those of the cluster that is in etcd, in one of the two ways that there are.
// Where etcd has no such cluster the master may make it: but only then, and not if it was told to join one.
func (s *Server) obtainKeys(ctx context.Context, config etcdsync.Config) error {
	has, err := exists(filepath.Join(s.config.DataDir, identityFile))
	switch {
	case err != nil:
		return fmt.Errorf("look for the cluster's keys: %w", err)
	case has && s.config.JoinMasters != "":
		s.daemon.Log.Info().Str("data_dir", s.config.DataDir).Msg("the directory has a cluster's keys already: --join-masters is not needed any more")
		return nil
	case has:
		return nil
	}
	token, err := readMasterToken(s.config)
	if err != nil {
		return err
	}
	found, err := etcdsync.Ask(ctx, config)
	if err != nil {
		return err
	}
	if !found.Cluster {
		if token != nil {
			return fmt.Errorf("--join-masters: etcd has no cluster %q to share; give --etcd as the master has it that made the token", s.config.Cluster)
		}
		return nil
	}
	if used, err := exists(filepath.Join(s.config.DataDir, bolt.StateFile)); err != nil || used {
		return errors.Join(err, fmt.Errorf("%s has a store and lacks the keys of its cluster, and etcd has a cluster %q: move %s aside if what is in it is in etcd too",
			s.config.DataDir, s.config.Cluster, filepath.Join(s.config.DataDir, bolt.StateFile)))
	}
	var keys recovery.Bundle
	how := "by the join token"
	switch {
	case token != nil:
		keys, err = s.joinMasters(ctx, *token)
	case s.config.RecoveryKey != "":
		how = "by the recovery key, from etcd"
		keys, err = unwrapKeys(s.config, found)
	default:
		return daemon.Usage(fmt.Errorf("etcd has the cluster %q already, and %s has no keys of it. Give --recovery-key FILE to restore this machine from etcd, "+
			"or --join-masters @FILE with a token that edgectl token create --for-master makes on another master; or choose another --cluster-name for a new cluster",
			s.config.Cluster, s.config.DataDir))
	}
	if err != nil {
		return err
	}
	if err := placeKeys(s.config.DataDir, s.config.Cluster, keys); err != nil {
		return err
	}
	s.daemon.Log.Info().Str("cluster", s.config.Cluster).Str("how", how).Msg("this master has got the cluster's keys")
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// unwrapKeys opens the keys that lie in etcd.
func unwrapKeys(config Config, found etcdsync.Found) (recovery.Bundle, error) {
	key, err := readRecoveryKey(config.RecoveryKey)
	if err != nil {
		return recovery.Bundle{}, daemon.Usage(fmt.Errorf("--recovery-key: %w", err))
	}
	if found.Keys == nil {
		return recovery.Bundle{}, fmt.Errorf("etcd has the cluster %q without its keys, because it has had no recovery key: only another of its masters has them, see --join-masters; "+
			"if there is none, restore a backup with edgectl restore", config.Cluster)
	}
	keys, err := recovery.Unwrap(found.Keys, key)
	if errors.Is(err, recovery.ErrKey) {
		return recovery.Bundle{}, daemon.Usage(fmt.Errorf("--recovery-key %s: it is not the key of the cluster in etcd: %w", config.RecoveryKey, err))
	}
	if err != nil {
		return recovery.Bundle{}, fmt.Errorf("read the cluster's keys in etcd: %w", err)
	}
	return keys, nil
}

// placeKeys writes the key files, the identity last: what was broken off is begun again.
func placeKeys(dir, cluster string, keys recovery.Bundle) error {
	if keys.Cluster != cluster {
		return daemon.Usage(fmt.Errorf("--cluster-name %s: the keys are those of the cluster %s; give that name", cluster, keys.Cluster))
	}
	files := map[string][]byte{}
	for _, f := range keys.Files {
		if !slices.Contains(keyFiles, f.Name) {
			return fmt.Errorf("among the cluster's keys is a file %q that this version does not know; use the version of the other masters", f.Name)
		}
		files[f.Name] = f.Data
	}
	for _, name := range []string{identityFile, tokenKeysFile, keyring.FileName} {
		if files[name] == nil {
			return fmt.Errorf("among the cluster's keys %s is missing; use the version of the other masters", name)
		}
	}
	if _, err := parseIdentity(files[identityFile]); err != nil {
		return fmt.Errorf("the cluster's keys are unusable: %w", err)
	}
	for _, name := range append(slices.DeleteFunc(slices.Clone(keyFiles), func(n string) bool { return n == identityFile }), identityFile) {
		if data := files[name]; data != nil {
			if err := daemon.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
