package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// note is what is on file of a pod's network, from before the plugins are run until after they have undone it.
type note struct {
	Bridge  string `json:"bridge"`
	Network string `json:"network"` // CNI's name of it
	// Chain are the plugins' configurations, in the order in which they are run.
	Chain []config `json:"chain"`
	// Result is what the last plugin answered; empty: not all were run to their end.
	Result json.RawMessage `json:"result,omitempty"`
	IP     string          `json:"ip,omitempty"`
}

func (n *note) complete() bool { return n != nil && n.IP != "" }

const noteSuffix = ".json"

// noteOf is the pod that a file of the notes' directory is about.
func noteOf(file string) (uid string, ours bool) {
	if strings.HasPrefix(file, ".") {
		return file, false
	}
	return strings.CutSuffix(file, noteSuffix)
}

func (n *Network) noteFile(uid string) string { return filepath.Join(n.notes(), uid+noteSuffix) }

func (n *Network) readNote(uid string) (*note, error) {
	data, err := os.ReadFile(n.noteFile(uid))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var read note
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is known of the network of pod %s: %w", uid, err)
	}
	return &read, nil
}

// writeNote replaces the note as a whole. It need not be synced: it is to be gone after a crash of the machine.
func (n *Network) writeNote(uid string, written *note) error {
	data, err := json.Marshal(written)
	draft := filepath.Join(n.notes(), "."+uid)
	if err == nil {
		err = os.WriteFile(draft, data, 0o600)
	}
	if err == nil {
		err = os.Rename(draft, n.noteFile(uid))
	}
	if err != nil {
		return fmt.Errorf("note what is known of the network of pod %s: %w", uid, err)
	}
	return nil
}

func (n *Network) removeNote(uid string) error {
	for _, file := range []string{n.noteFile(uid), filepath.Join(n.notes(), "."+uid)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// used reports whether any pod is on a bridge.
func (n *Network) used(bridge string) (bool, error) {
	entries, err := os.ReadDir(n.notes())
	if err != nil {
		return false, fmt.Errorf("list pods' networks: %w", err)
	}
	for _, e := range entries {
		uid, ours := noteOf(e.Name())
		if !ours {
			continue
		}
		note, err := n.readNote(uid)
		if err != nil || note != nil && note.Bridge == bridge {
			return true, nil // one that can't be read may be on it
		}
	}
	return false, nil
}
