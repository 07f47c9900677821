package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/protocol/gate"
)

// Groups of people, which are organisations of their client certificates. What the second may do is a ClusterRole.
const (
	GroupAdmins  = authz.GroupAdmins // everything
	GroupViewers = "skerry:viewers"  // read everything but secrets
)

// user is who sent a request.
type user struct {
	name   string
	uid    string
	groups []string
	extra  map[string][]string
}

func known(u authn.User) user {
	return user{name: u.Name, uid: u.UID, groups: append(u.Groups, authz.GroupAuthenticated), extra: u.Extra}
}

// connection is what is remembered of one.
type connection struct {
	gate  *gate.Conn // nil in a test
	check sync.Once
	good  bool // its client certificate is of the cluster's authority
}

type connectionKey struct{}

// remember is http.Server.ConnContext.
func remember(ctx context.Context, c net.Conn) context.Context {
	of := &connection{}
	if secure, ok := c.(*tls.Conn); ok {
		of.gate, _ = secure.NetConn().(*gate.Conn)
	}
	return context.WithValue(ctx, connectionKey{}, of)
}

// authenticate says who sent a request: by the client certificate, or else by the token. As in Kubernetes the first
// that is good counts.
func (s *Server) authenticate(r *http.Request, now time.Time) (user, error) {
	of, _ := r.Context().Value(connectionKey{}).(*connection)
	if of == nil {
		of = &connection{}
	}
	var refused error // why what was shown is no longer good
	who, err := s.byCertificate(r, of, now)
	if err != nil {
		var refusal authn.Refusal
		if errors.As(err, &refusal) {
			refused = err
		}
		who, err = s.byToken(r, now)
	}
	if err != nil {
		if errors.As(err, new(authn.Refusal)) {
			refused = err
		}
		if refused == nil {
			return user{}, apierrors.NewUnauthorized("Unauthorized")
		}
		return user{}, apierrors.NewUnauthorized(refused.Error())
	}
	if of.gate != nil {
		of.gate.Welcome()
	}
	return known(who), nil
}

// errNothing: nothing that could be good was shown.
var errNothing = errors.New("nothing was shown")

func (s *Server) byCertificate(r *http.Request, of *connection, now time.Time) (authn.User, error) {
	if s.Authority == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return authn.User{}, errNothing
	}
	leaf := r.TLS.PeerCertificates[0]
	of.check.Do(func() { of.good = authn.Signed(leaf, s.Authority.Certificate) })
	if !of.good {
		return authn.User{}, errNothing
	}
	return authn.Person(leaf, now)
}

func (s *Server) byToken(r *http.Request, now time.Time) (authn.User, error) {
	headers := r.Header.Values("Authorization")
	if s.TokenKeys == nil || len(headers) != 1 {
		return authn.User{}, errNothing
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return authn.User{}, errNothing
	}
	who, _, err := s.TokenKeys.Account(token, []string{authn.Audience}, s.Store.View(), now)
	return who, err
}
