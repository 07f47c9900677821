package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// Errors of Recovery.
var (
	// ErrNoRecoveryKey says that nothing can be sealed for a key that there is not.
	ErrNoRecoveryKey = errors.New("this cluster has no recovery key, for which a backup would be sealed; make one: edgectl recovery-key rotate")
	// ErrBackupRuns says that there is one at a time, for each takes room on the disk.
	ErrBackupRuns = errors.New("another backup is being made; try again when it is done")
)

// Recovery makes backups, sealed for the holder of the recovery key.
type Recovery interface {
	// Recipient is the public half of the recovery key; zero: there is none.
	Recipient() recovery.Recipient
	// SetRecipient replaces it, durably.
	SetRecipient(recovery.Recipient) error
	// Backup takes a consistent copy of the cluster. The caller writes it out, and closes it. Errors: ErrNoRecoveryKey,
	// ErrBackupRuns, store.ErrFull.
	Backup() (Backup, error)
}

// Backup is a copy that waits to be written out, in constant memory.
type Backup interface {
	io.WriterTo
	io.Closer
}

// What edgectl backup and edgectl recovery-key talk to. Making a backup is no GET: the audit log is to have it.
const (
	backupsPath     = ownPaths + "backups"
	recoveryKeyPath = ownPaths + "recoverykey"
)

var (
	backupResource      = schema.GroupResource{Group: "skerry.dev", Resource: "backups"}
	recoveryKeyResource = schema.GroupResource{Group: "skerry.dev", Resource: "recoverykey"}
)

// RecoveryKey is what the API tells, and is told, of the recovery key: the key itself stays with whoever made it.
type RecoveryKey struct {
	ID        string `json:"id"` // empty: there is none
	Recipient string `json:"recipient,omitempty"`
}

const mediaBackup = "application/vnd.skerry.backup"

// allowEverything is for what gives everything away: only who may do everything may do it, whatever roles name it.
func (s *Server) allowEverything(u user, gr schema.GroupResource, what string) error {
	err := s.allow(u, everything)
	if apierrors.IsForbidden(err) {
		//lint:ignore ST1005 Kubernetes' own words
		return apierrors.NewForbidden(gr, "", fmt.Errorf("User %q cannot %s; only who may do everything can", u.name, what))
	}
	return err
}

// serveBackups sends a backup. What goes wrong after it has begun breaks the connection off, so that no part of it is
// taken for the whole.
func (s *Server) serveBackups(w http.ResponseWriter, r *http.Request, u user) error {
	if err := s.allowEverything(u, backupResource, "make backups"); err != nil {
		return err
	}
	if s.Recovery == nil {
		return apierrors.NewServiceUnavailable("this master makes no backups")
	}
	if r.Method != http.MethodPost {
		return notAllowed()
	}
	backup, err := s.Recovery.Backup()
	if err != nil {
		return backupError(err)
	}
	defer backup.Close()
	w.Header().Set("Content-Type", mediaBackup)
	w.WriteHeader(http.StatusOK)
	n, err := backup.WriteTo(unhurried{w})
	if err != nil {
		panic(brokenAnswer{fmt.Errorf("send a backup: %w", err)})
	}
	s.log.Info().Str("by", u.name).Int64("bytes", n).Msg("backup made")
	return nil
}

// unhurried gives a client writeTimeout for each piece of an answer, however long all of it takes.
type unhurried struct{ http.ResponseWriter }

func (u unhurried) Write(p []byte) (int, error) {
	defer hurry(u.ResponseWriter)()
	return u.ResponseWriter.Write(p)
}

// backupError finds a backup's own errors their place in Kubernetes.
func backupError(err error) error {
	switch {
	case errors.Is(err, ErrNoRecoveryKey):
		return apierrors.NewBadRequest(err.Error())
	case errors.Is(err, ErrBackupRuns):
		return apierrors.NewTooManyRequests(err.Error(), retryAfter)
	case errors.Is(err, store.ErrFull):
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: reasonFull,
			Message: "the master's disk has no room for the copy that a backup is made from; free some there: " + err.Error(),
		}}
	}
	return err
}

// serveRecoveryKey tells and replaces the public half of the recovery key.
func (s *Server) serveRecoveryKey(w http.ResponseWriter, r *http.Request, u user) error {
	if err := s.allowEverything(u, recoveryKeyResource, "work with the recovery key"); err != nil {
		return err
	}
	if s.Recovery == nil {
		return apierrors.NewServiceUnavailable("this master makes no backups")
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		ask, err := readJSON[RecoveryKey](w, r, maxTokenRequest, "recovery key")
		if err != nil {
			return err
		}
		recipient, err := recovery.ParseRecipient(ask.Recipient)
		if err != nil {
			return apierrors.NewBadRequest("recipient: " + err.Error())
		}
		if ask.ID != "" && ask.ID != recipient.ID() {
			return apierrors.NewBadRequest(fmt.Sprintf("id: it is %s for this recipient", recipient.ID()))
		}
		if err := s.Recovery.SetRecipient(recipient); err != nil {
			return fmt.Errorf("keep the recovery key's public half: %w", err)
		}
		s.log.Info().Str("by", u.name).Str("key", recipient.ID()).Msg("recovery key replaced")
	default:
		return notAllowed()
	}
	var answer RecoveryKey
	if recipient := s.Recovery.Recipient(); !recipient.IsZero() {
		answer = RecoveryKey{ID: recipient.ID(), Recipient: recipient.String()}
	}
	return writeJSON(w, http.StatusOK, answer)
}
