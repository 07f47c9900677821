package apiserver

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// A master that does not lead answers reads from what it has, once that is no older than the question, and passes everything
// else on to the leader: writes, and what only the leader knows, which is all that comes from nodes without being stored.
//
// The leader learns who asks in the way in which it learns it of everybody, and trusts no header and no other master: a
// service account's token goes along, and for a person the master makes a client certificate of the name and groups that
// it has just verified, with the authority's key, which every master has. It never leaves the memory.

// passedOn marks a request that a master has passed on already, so that none goes round in circles.
const passedOn = "X-Skerry-Passed-On"

// needsLeader reports whether only the leader can answer.
func needsLeader(t target, isResource bool, verb, path string) bool {
	_, token := tokenPath(path)
	_, master := masterPath(path)
	if token || master || path == recoveryKeyPath || path == conflictsPath || strings.HasPrefix(path, conflictsPath+"/") {
		return true
	}
	if !isResource || t.res.Asked {
		return false
	}
	reads := slices.Contains([]string{verbGet, verbList, verbWatch}, verb)
	stored := !t.res.Measured && !t.res.Volatile && t.res.RenderedFrom == ""
	whole := slices.Contains([]string{"", "status", "scale"}, t.subresource)
	return !reads || !stored || !whole
}

// passOn lets the leader answer. handled is false when this master is it.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request, u user) (handled bool, err error) {
	if s.Masters == nil {
		return false, nil
	}
	leader, elsewhere := s.Masters.Elsewhere()
	switch {
	case !elsewhere:
		return false, nil
	case leader == "" && s.Masters.Standing() == standingAway:
		return true, unavailable("no master leads that this one knows of, and etcd does not answer; until it does nothing can be changed here")
	case leader == "":
		return true, unavailable("no master leads just now; one is elected within seconds, try again")
	case r.Header.Get(passedOn) != "":
		return true, unavailable("this master does not lead the cluster any more; the leader is at " + leader)
	}
	if err := s.askLeader(w, r, u, leader); err != nil {
		return true, unavailable(fmt.Sprintf("this master does not lead the cluster, and the leader at %s does not answer: %v", leader, err))
	}
	return true, nil
}

// refresh sees to it that a read through a master that follows shows everything that was acknowledged before: etcd says how
// far the others have come, or else the leader answers. Where neither can be asked, the answer warns of its age. A client
// that takes any state (resourceVersion=0) gets what is here.
func (s *Server) refresh(w http.ResponseWriter, r *http.Request, u user, verb string) (handled bool) {
	if s.Masters == nil || r.URL.Query().Get("resourceVersion") == "0" {
		return false
	}
	why := s.Masters.Fresh(r.Context())
	if why == nil {
		return false
	}
	leader, elsewhere := s.Masters.Elsewhere()
	// A watch would hold its connection to the leader for as long as it lasts.
	if elsewhere && leader != "" && r.Header.Get(passedOn) == "" && verb != verbWatch {
		err := s.askLeader(w, r, u, leader)
		if err == nil {
			return true
		}
		s.log.Debug().Err(err).Str("leader", leader).Msg("the leader could not be asked for a read")
	}
	s.log.Debug().Err(why).Msg("a read may show an old state")
	w.Header().Add("Warning", `299 - "neither etcd nor a leader answers this master: what it shows may be old"`)
	return false
}

// askLeader has the leader at a URL answer. An error means that nothing was answered.
func (s *Server) askLeader(w http.ResponseWriter, r *http.Request, u user, leader string) (err error) {
	to, err := url.Parse(leader)
	if err != nil {
		return fmt.Errorf("the leader's URL: %w", err)
	}
	transport, err := s.lines.to(s, u)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // logs and watches are read as they come
		ErrorLog:      log.New(handshakeLog{s.log}, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.URL.Path, p.Out.URL.RawPath = p.In.URL.Path, p.In.URL.RawPath
			p.Out.Header.Set(passedOn, "1")
			if !authn.Reserved(u.name) {
				p.Out.Header.Del("Authorization")
			}
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, failure error) { err = failure },
	}
	proxy.ServeHTTP(w, r)
	return err
}

func unavailable(message string) error { return apierrors.NewServiceUnavailable(message) }

// lines are the connections to the leader, one set for each user.
type lines struct {
	mu   sync.Mutex
	open map[string]*line
}

type line struct {
	transport *http.Transport
	made      clock.Now
	used      clock.Now
}

const (
	maxLines = 32        // users
	lineLife = time.Hour // of a certificate made for a user

	// dialTimeout is how long a client waits for a leader whose machine is gone: the answer names it then.
	dialTimeout = 3 * time.Second
)

// to are the connections that show the leader who u is.
func (l *lines) to(s *Server, u user) (*http.Transport, error) {
	name := ""
	groups := slices.DeleteFunc(slices.Clone(u.groups), func(g string) bool { return g == authz.GroupAuthenticated })
	if !authn.Reserved(u.name) {
		name = u.name + "\x00" + strings.Join(groups, "\x00")
	}
	now := s.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.open[name]; known != nil && now.Since(known.made) < lineLife {
		known.used = now
		return known.transport, nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Authority.Certificate)
	secure := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Time: func() time.Time { return s.Clock().Wall }}
	if name != "" {
		certificate, err := s.Authority.Client(rand.Reader, u.name, groups, now.Wall)
		if err != nil {
			return nil, fmt.Errorf("show the leader who asks: %w", err)
		}
		secure.Certificates = []tls.Certificate{*certificate}
	}
	if l.open == nil {
		l.open = map[string]*line{}
	}
	l.drop(name)
	for len(l.open) >= maxLines {
		oldest := ""
		for n, each := range l.open {
			if oldest == "" || each.used.Boot < l.open[oldest].used.Boot {
				oldest = n
			}
		}
		l.drop(oldest)
	}
	made := &line{made: now, used: now, transport: &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: secure, TLSHandshakeTimeout: headerTimeout, ResponseHeaderTimeout: writeTimeout,
		MaxConnsPerHost: maxStreams, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
		DisableCompression: true,
	}}
	l.open[name] = made
	return made.transport, nil
}

func (l *lines) drop(name string) {
	if old := l.open[name]; old != nil {
		old.transport.CloseIdleConnections()
		delete(l.open, name)
	}
}
