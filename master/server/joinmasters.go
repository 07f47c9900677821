package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/recovery"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Bounds of joining.
const (
	joinAnswer = 1 << 20 // bytes
	joinLimit  = 15 * time.Second
	joinRounds = 10 // through the masters that the token names,
	joinPause  = 3 * time.Second
)

// readMasterToken reads the token of --join-masters; nil: there is none.
func readMasterToken(config Config) (*seal.MasterToken, error) {
	if config.JoinMasters == "" {
		return nil, nil
	}
	text := config.JoinMasters
	if path, ok := strings.CutPrefix(text, "@"); ok {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o004 != 0 {
			err = fmt.Errorf("everybody on this machine can read it; chmod 600 %s", path)
		}
		var data []byte
		if err == nil {
			data, err = readSmall(path)
		}
		if err != nil {
			return nil, daemon.Usage(fmt.Errorf("--join-masters @%s: %w", path, err))
		}
		text = string(data)
	}
	token, err := seal.ParseMasterToken(text)
	if err != nil {
		return nil, daemon.Usage(fmt.Errorf("--join-masters: %w", err))
	}
	if token.Cluster != config.Cluster {
		return nil, daemon.Usage(fmt.Errorf("--join-masters: the token is for masters of the cluster %s, and this one is to be of %s; give --cluster-name %s", token.Cluster, config.Cluster, token.Cluster))
	}
	return &token, nil
}

// joinMasters asks the masters that the token names for the cluster's keys, until one gives them or says no.
func (s *Server) joinMasters(ctx context.Context, token seal.MasterToken) (recovery.Bundle, error) {
	key, err := recovery.NewKey(rand.Reader) // for this alone: what is recorded stays closed when it is forgotten
	if err != nil {
		return recovery.Bundle{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		return recovery.Bundle{}, fmt.Errorf("read the host name: %w", err)
	}
	body, err := json.Marshal(apiserver.MasterJoinRequest{Token: token.ID(), Secret: token.Secret, Recipient: key.Recipient().String(), Name: name})
	if err != nil {
		return recovery.Bundle{}, err
	}
	var last error
	for round := range joinRounds {
		if round > 0 {
			select {
			case <-ctx.Done():
				return recovery.Bundle{}, ctx.Err()
			case <-time.After(joinPause):
			}
		}
		strangers := 0
		for _, api := range token.APIs {
			sealed, err := askMaster(ctx, api, token.CAHash, body)
			if err == nil {
				return openJoined(sealed, key, token)
			}
			last = fmt.Errorf("--join-masters: the master at %s: %w", api, err)
			if final := new(finalError); errors.As(err, &final) {
				return recovery.Bundle{}, last
			}
			if errors.Is(err, ca.ErrOther) {
				strangers++
			}
			s.daemon.Log.Warn().Err(err).Str("master", api).Msg("this master can't join there; it is tried again")
		}
		if strangers == len(token.APIs) {
			break // where a token leads, nobody of this cluster will be
		}
	}
	return recovery.Bundle{}, last
}

// finalError is a refusal that asking again does not change.
type finalError struct{ string }

func (e *finalError) Error() string { return e.string }

// askMaster sends the request to one master, which has to show a certificate of the pinned authority before it is told
// anything.
func askMaster(ctx context.Context, api string, pinned seal.CAHash, body []byte) ([]byte, error) {
	at, err := url.Parse(api)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       joinLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ServerName: at.Hostname(),
			InsecureSkipVerify: true, // VerifyPinned does it
			VerifyConnection: func(state tls.ConnectionState) error {
				return ca.VerifyPinned(state.PeerCertificates, at.Hostname(), pinned)
			},
		}},
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(api, "/")+"/apis/skerry.dev/v1/masterjoins", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(ask)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which the caller names
		}
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, joinAnswer))
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		var status metav1.Status
		if json.Unmarshal(text, &status) != nil || status.Message == "" {
			status.Message = "it answered " + answer.Status + "; is it a skerry-master of this version?"
		}
		if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
			return nil, errors.New(status.Message)
		}
		return nil, &finalError{status.Message}
	}
	var joined apiserver.MasterJoin
	if err := json.Unmarshal(text, &joined); err != nil {
		return nil, &finalError{"its answer has no keys in it; is it a skerry-master of this version?"}
	}
	return joined.Keys, nil
}

// openJoined opens the answer, and makes sure that the keys are those of the cluster that the token names.
func openJoined(sealed []byte, key recovery.Key, token seal.MasterToken) (recovery.Bundle, error) {
	keys, err := recovery.Unwrap(sealed, key)
	if err != nil {
		return recovery.Bundle{}, fmt.Errorf("--join-masters: the answer: %w", err)
	}
	for _, f := range keys.Files {
		if f.Name != identityFile {
			continue
		}
		id, err := parseIdentity(f.Data)
		if err != nil {
			return recovery.Bundle{}, fmt.Errorf("--join-masters: the cluster's keys are unusable: %w", err)
		}
		if seal.HashCA(id.ca.Certificate) != token.CAHash || id.cluster != token.Cluster {
			return recovery.Bundle{}, errors.New("--join-masters: the keys that came are not those of the token's cluster")
		}
		return keys, nil
	}
	return recovery.Bundle{}, errors.New("--join-masters: the answer lacks the cluster's identity")
}
