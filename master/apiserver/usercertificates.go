package apiserver

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// ownPaths is the beginning of the paths of what is Skerry's own and no object.
const ownPaths = "/apis/skerry.dev/v1/"

// certificatesPath is where people's certificates are signed: what edgectl user create talks to. They are no objects:
// nothing of them is kept.
const certificatesPath = ownPaths + "usercertificates"

var certificateResource = schema.GroupResource{Group: "skerry.dev", Resource: "usercertificates"}

// UserCertificateRequest asks for the certificate of a person, who has made the key themselves.
type UserCertificateRequest struct {
	Request    string `json:"request"` // PKCS #10 in PEM; the subject's CN is the user, O are groups
	TTLSeconds int64  `json:"ttlSeconds"`
}

// UserCertificate is the answer.
type UserCertificate struct {
	Certificate string    `json:"certificate"` // PEM
	Expires     time.Time `json:"expires"`
	ClockUnset  bool      `json:"clockUnset,omitempty"` // the master's clock was never set, so expires is early
}

// everything is what only a cluster's administrators may do.
var everything = authz.Attributes{Verb: "*", Group: "*", Resource: "*"}

// serveCertificates signs a person's certificate. Whoever may have a name signed may be anybody, so that takes the right
// to everything; a role that names this resource gives nothing.
func (s *Server) serveCertificates(w http.ResponseWriter, r *http.Request, u user, tr *trail) error {
	if err := s.allowEverything(u, certificateResource, "sign certificates of users"); err != nil {
		return err
	}
	if s.Authority == nil {
		return apierrors.NewServiceUnavailable("this master signs no certificates")
	}
	if r.Method != http.MethodPost {
		return notAllowed()
	}
	ask, err := readJSON[UserCertificateRequest](w, r, 2*authn.MaxRequest, "request for a certificate")
	if err != nil {
		return err
	}
	ttl := time.Duration(min(max(ask.TTLSeconds, 0), int64(authn.MaxLifetime/time.Second)+1)) * time.Second
	if ttl < authn.MinLifetime || ttl > authn.MaxLifetime {
		return apierrors.NewBadRequest(fmt.Sprintf("ttlSeconds: %d is not between %d and %d", ask.TTLSeconds,
			int64(authn.MinLifetime/time.Second), int64(authn.MaxLifetime/time.Second)))
	}
	person, err := authn.ParseRequest([]byte(ask.Request))
	if err != nil {
		return apierrors.NewBadRequest("request: " + err.Error())
	}
	tr.entry.Name = person.Name
	now := s.Clock().Wall
	leaf, err := s.Authority.SignClient(rand.Reader, person.Key, person.Name, person.Groups, ttl, now)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	s.log.Info().Str("user", person.Name).Strs("groups", person.Groups).Time("until", leaf.NotAfter).Str("by", u.name).Msg("user certificate signed")
	return writeJSON(w, http.StatusCreated, UserCertificate{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
		Expires:     leaf.NotAfter, ClockUnset: !ca.Plausible(now),
	})
}
