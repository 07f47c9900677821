package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// identity is who the node is; the disk keeps it from the first answer of the master on.
type identity struct {
	Node  string `json:"node"`
	Token string `json:"token"`

	token  seal.Token
	joined bool // it was kept by an earlier run
}

// identify is the stored identity, or that of the flags when the node has not joined yet.
func identify(config Config, stored []byte) (identity, error) {
	var id identity
	if stored != nil {
		id.joined = true
		err := json.Unmarshal(stored, &id)
		if err == nil {
			id.token, err = seal.ParseToken(id.Token)
		}
		if err != nil {
			return identity{}, fmt.Errorf("--data-dir %s: the stored identity is damaged (%w); remove the file identity there and join again with --join", config.DataDir, err)
		}
		if config.NodeName != "" && config.NodeName != id.Node {
			return identity{}, daemon.Usage(fmt.Errorf("--node-name %s: this data directory belongs to the node %s; give that name, or another --data-dir", config.NodeName, id.Node))
		}
		return id, nil
	}
	id.Node = config.NodeName
	var err error
	if id.Node == "" {
		if id.Node, err = hostName(); err != nil {
			return identity{}, err
		}
	}
	if config.Join == "" {
		return identity{}, daemon.Usage(errors.New("--join is needed until the node has joined; the master printed the token at its first start and keeps it in the file join-token of its data directory"))
	}
	text := config.Join
	if path, ok := strings.CutPrefix(text, "@"); ok {
		if text, err = readToken(path); err != nil {
			return identity{}, daemon.Usage(fmt.Errorf("--join @%s: %w", path, err))
		}
	}
	if id.token, err = seal.ParseToken(text); err != nil {
		return identity{}, daemon.Usage(fmt.Errorf("--join: %w", err))
	}
	if id.Token, err = id.token.Encode(); err != nil {
		return identity{}, err
	}
	return id, nil
}

// encode is what the disk keeps.
func (id identity) encode() ([]byte, error) {
	data, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("encode the identity: %w", err)
	}
	return data, nil
}

// maxTokenFile is more than any token has.
const maxTokenFile = 64 << 10

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFile))
	return string(data), err
}
