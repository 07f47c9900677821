package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// tokenKeysFile holds the keys that sign the tokens of service accounts, as PEM blocks: the first signs. Whoever deletes
// it ends all tokens.
const tokenKeysFile = "serviceaccounts.pem"

// openTokenKeys reads the keys of a directory, or makes the first one.
func openTokenKeys(dir string) (authn.Keys, error) {
	path := filepath.Join(dir, tokenKeysFile)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeTokenKeys(path)
	}
	if err != nil {
		return authn.Keys{}, fmt.Errorf("read the keys of service accounts' tokens: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxIdentity))
	if err != nil {
		return authn.Keys{}, fmt.Errorf("read the keys of service accounts' tokens: %w", err)
	}
	keys, err := authn.ParseKeys(data)
	if err != nil {
		return authn.Keys{}, fmt.Errorf("the keys of service accounts' tokens in %s are unusable: %w; restore the file from a backup, or delete it, which ends all these tokens", path, err)
	}
	return keys, nil
}

func makeTokenKeys(path string) (authn.Keys, error) {
	keys, err := authn.NewKeys(rand.Reader)
	if err != nil {
		return authn.Keys{}, err
	}
	text, err := keys.PEM()
	if err != nil {
		return authn.Keys{}, err
	}
	return keys, daemon.WriteFile(path, text, 0o600)
}

// openAudit opens the audit log; nil: there is none.
func (s *Server) openAudit() (*audit.Log, error) {
	path := s.config.AuditLog
	switch {
	case path == "":
		return nil, nil
	case !strings.Contains(path, "/"):
		path = filepath.Join(s.config.DataDir, path)
	}
	log, err := audit.New(audit.Config{Path: path, Clock: daemon.Clock, Log: s.daemon.Log.With().Str("component", "audit").Logger(), Metrics: s.daemon.Registry})
	if err != nil {
		return nil, fmt.Errorf(`--audit-log %s: %w; name another file, or "" for none`, s.config.AuditLog, err)
	}
	return log, nil
}
