package apiserver

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/protocol/recovery"
)

// MasterJoins lets further masters have the cluster's keys.
type MasterJoins interface {
	// Join judges a token and, if it is good, seals the keys for whoever asks. The use of the token is stored before it
	// returns. Error: MasterJoinRefused, or one of the store's.
	Join(ctx context.Context, ask MasterJoinRequest, to recovery.Recipient) (MasterJoin, error)
}

// MasterJoinRequest is what a machine sends that is to be a master. Who answers has shown a certificate of the cluster's
// authority, so the secret may be told.
type MasterJoinRequest struct {
	Token  string `json:"token"`  // its id
	Secret []byte `json:"secret"` // of the token
	// Recipient is the public half of a key pair that the machine has made for this.
	Recipient string `json:"recipient"`
	Name      string `json:"name"` // of its host, for people
}

// MasterJoin is the answer.
type MasterJoin struct {
	Keys []byte `json:"keys"` // recovery.Wrap
}

// MasterJoinRefused says in words why a token is not good.
type MasterJoinRefused string

func (e MasterJoinRefused) Error() string { return string(e) }

const masterJoinsPath = ownPaths + "masterjoins"

// joiner is what the audit log calls who comes with a token for masters.
const joiner = "skerry:joining-master"

const maxMasterName = 253

// serveMasterJoin answers a machine that has nothing but a token, so it comes before everybody else is asked who they are.
func (s *Server) serveMasterJoin(w http.ResponseWriter, r *http.Request, tr *trail) error {
	tr.entry.User = joiner
	release, err := s.limits.request()
	if err != nil {
		return err
	}
	defer release()
	if r.Method != http.MethodPost {
		return notAllowed()
	}
	if s.MasterJoins == nil || s.Masters == nil {
		return apierrors.NewBadRequest(noSharedStore)
	}
	if leader, elsewhere := s.Masters.Elsewhere(); elsewhere && leader == "" {
		return unavailable("no master leads just now; one is elected within seconds, try again")
	} else if elsewhere {
		return unavailable("this master does not lead the cluster; the leader is at " + leader)
	}
	ask, err := readJSON[MasterJoinRequest](w, r, maxTokenRequest, "request to join as a master of this version")
	if err != nil {
		return err
	}
	to, err := recovery.ParseRecipient(ask.Recipient)
	if err != nil || len(ask.Name) > maxMasterName {
		return apierrors.NewBadRequest("this is no request to join as a master; are both masters of the same version?")
	}
	answer, err := s.MasterJoins.Join(r.Context(), ask, to)
	if refused, ok := err.(MasterJoinRefused); ok {
		tr.entry.Reason = string(refused)
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: string(refused)}}
	}
	if err != nil {
		return err
	}
	tr.entry.Name = ask.Token // which is one that there is
	s.log.Warn().Str("token", ask.Token).Str("host", ask.Name).Str("from", tr.entry.Source).Msg("a machine was given the cluster's keys, to be a master")
	return writeJSON(w, http.StatusOK, answer)
}

const noSharedStore = "this cluster has no etcd, and two masters without a store that they share would be two clusters; start this master with --etcd first"
