package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/protocol"
)

// Tokens are the join tokens of the cluster.
type Tokens interface {
	// Create makes one. A ttl or uses of 0 mean no end.
	Create(ctx context.Context, ttl time.Duration, uses uint32, description string) (Token, error)
	// CreateForMaster makes one with which further masters join, and get the cluster's keys.
	CreateForMaster(ctx context.Context, ttl time.Duration, uses uint32, description string) (Token, error)
	// List are all that are remembered, by id.
	List() []Token
	// Revoke ends one; found is false when there is none of this id.
	Revoke(ctx context.Context, id string) (found bool, err error)
}

// Token is a join token as people see it, and as the API has it.
type Token struct {
	ID          string    `json:"id"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires,omitzero"` // zero: never
	Uses        uint32    `json:"uses"`             // how many nodes may join with it; 0: any number
	Used        uint32    `json:"used"`             // how many have
	State       string    `json:"state,omitempty"`  // why it is no longer good: revoked, expired or used_up; empty: it is
	Description string    `json:"description,omitempty"`
	ForMaster   bool      `json:"forMaster,omitempty"` // masters join with it, not nodes
	Text        string    `json:"token,omitempty"`     // the token itself; only where it has just been made
}

// TokenList is what the API answers with.
type TokenList struct {
	Items []Token `json:"items"`
}

// NewTokenRequest asks for a token.
type NewTokenRequest struct {
	TTLSeconds  int64  `json:"ttlSeconds"` // 0: for ever
	Uses        uint32 `json:"uses"`       // 0: for any number of nodes
	Description string `json:"description,omitempty"`
	ForMaster   bool   `json:"forMaster,omitempty"` // for masters, which get the cluster's keys
}

// Bounds of a NewTokenRequest.
const (
	maxTokenTTL         = 10 * 365 * 24 * time.Hour
	maxTokenUses        = 100_000
	maxTokenDescription = 200 // bytes
	maxTokenRequest     = 4 << 10

	// A token for masters is worth the whole cluster.
	maxMasterTokenTTL  = 24 * time.Hour
	maxMasterTokenUses = 10
)

// tokensPath is where tokens are: what edgectl token talks to. They are no objects of the API, for their text must
// not lie anywhere.
const tokensPath = "/apis/skerry.dev/v1/jointokens"

var tokenResource = schema.GroupResource{Group: "skerry.dev", Resource: "jointokens"}

// tokenPath is the id that a path names, if it is one of tokens; empty: all of them.
func tokenPath(path string) (id string, ok bool) {
	if path == tokensPath {
		return "", true
	}
	id, ok = strings.CutPrefix(path, tokensPath+"/")
	return id, ok && protocol.CheckLevel(id) == nil
}

// serveTokens answers for join tokens, to administrators alone.
func (s *Server) serveTokens(w http.ResponseWriter, r *http.Request, u user, id string, tr *trail) error {
	verb := map[string]string{http.MethodGet: verbList, http.MethodPost: verbCreate, http.MethodDelete: verbDelete}[r.Method]
	if err := s.authorizeSpecial(u, verb, tokenResource, id); err != nil {
		return err
	}
	if s.Tokens == nil {
		return apierrors.NewServiceUnavailable("this master makes no join tokens")
	}
	switch {
	case id == "" && r.Method == http.MethodGet:
		return writeJSON(w, http.StatusOK, TokenList{Items: append([]Token{}, s.Tokens.List()...)})
	case id == "" && r.Method == http.MethodPost:
		return s.createToken(w, r, u, tr)
	case id != "" && r.Method == http.MethodDelete:
		found, err := s.Tokens.Revoke(r.Context(), id)
		switch {
		case err != nil:
			return apierrors.NewInternalError(err)
		case !found:
			return apierrors.NewNotFound(tokenResource, id)
		}
		return writeJSON(w, http.StatusOK, struct{}{})
	}
	return notAllowed()
}

func (s *Server) createToken(w http.ResponseWriter, r *http.Request, u user, tr *trail) error {
	ask, err := readJSON[NewTokenRequest](w, r, maxTokenRequest, "request for a join token")
	if err != nil {
		return err
	}
	if err := ask.check(); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	ttl := time.Duration(ask.TTLSeconds) * time.Second
	create := s.Tokens.Create
	if ask.ForMaster {
		if err := s.allowEverything(u, tokenResource, "make join tokens for masters"); err != nil {
			return err
		}
		create = s.Tokens.CreateForMaster
	}
	token, err := create(r.Context(), ttl, ask.Uses, ask.Description)
	switch {
	case errors.As(err, new(apierrors.APIStatus)):
		return err
	case err != nil:
		return apierrors.NewInternalError(err)
	}
	tr.entry.Name = token.ID
	return writeJSON(w, http.StatusCreated, token)
}

// check says which field is out of bounds.
func (ask NewTokenRequest) check() error {
	const longest = int64(maxTokenTTL / time.Second)
	switch {
	case ask.TTLSeconds < 0 || ask.TTLSeconds > longest:
		return fmt.Errorf("ttlSeconds: %d is not between 0 (for ever) and %d", ask.TTLSeconds, longest)
	case ask.Uses > maxTokenUses:
		return fmt.Errorf("uses: %d is more than %d; 0 means any number", ask.Uses, maxTokenUses)
	case ask.ForMaster && (ask.TTLSeconds == 0 || ask.TTLSeconds > int64(maxMasterTokenTTL/time.Second)):
		return fmt.Errorf("ttlSeconds: a token for masters is good for at most %d", int64(maxMasterTokenTTL/time.Second))
	case ask.ForMaster && (ask.Uses == 0 || ask.Uses > maxMasterTokenUses):
		return fmt.Errorf("uses: a token for masters is good for 1 to %d of them", maxMasterTokenUses)
	case len(ask.Description) > maxTokenDescription:
		return fmt.Errorf("description: it has more than %d bytes", maxTokenDescription)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, code int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n')) // whoever asked is gone
	return nil
}
