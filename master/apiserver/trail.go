package apiserver

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/resource"
)

// headerRequest has the id of a request, under which the audit log has it.
const headerRequest = "Audit-Id"

// trail is what the audit log learns of one request. It is written once, when the answer begins: a session with a
// container may last for days.
type trail struct {
	log   *audit.Log
	entry audit.Entry
	res   *resource.Resource // nil: the path names none
	done  bool
}

func (s *Server) newTrail(w http.ResponseWriter, r *http.Request, t target, verb string) *trail {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	tr := &trail{log: s.Audit, res: t.res, entry: audit.Entry{
		Time: s.Clock().Wall, ID: hex.EncodeToString(id[:]), Source: source(r), Verb: verb,
		Subresource: t.subresource, Namespace: t.namespace, Name: t.name, DryRun: r.URL.Query().Has("dryRun"),
	}}
	if t.res != nil {
		gr := t.res.GVR().GroupResource()
		tr.entry.Group, tr.entry.Resource = gr.Group, gr.Resource
	} else {
		tr.entry.Verb, tr.entry.Path = strings.ToLower(r.Method), r.URL.Path
	}
	w.Header().Set(headerRequest, tr.entry.ID)
	return tr
}

// source is the address that a request came from.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// by notes who it was.
func (tr *trail) by(u user) {
	tr.entry.User, tr.entry.UID, tr.entry.Groups = u.name, u.uid, u.groups
	for _, ids := range u.extra["authentication.kubernetes.io/credential-id"] {
		tr.entry.Credential = ids
	}
}

// answered notes the code of the answer, and writes what is worth it.
func (tr *trail) answered(code int) {
	if tr.done {
		return
	}
	tr.done = true
	tr.entry.Code = code
	if worth, often := tr.worth(); worth {
		tr.entry.Often = often
		tr.log.Record(tr.entry)
	}
}

// worth reports whether a request is written down, and whether it is one that may come very often: what is refused, and
// who reads Secrets.
func (tr *trail) worth() (worth, often bool) {
	e := &tr.entry
	refused := e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden
	if tr.res == nil {
		own := strings.HasPrefix(e.Path, ownPaths)
		refused = refused || e.User == joiner && e.Code != http.StatusOK // a stranger, who may come as often as he likes
		return refused || own && e.Verb != "get", refused
	}
	reads := slices.Contains([]string{verbGet, verbList, verbWatch, "other"}, e.Verb)
	connects := slices.Contains(connecting, e.Subresource)
	chatter := tr.res.Asked || tr.res.Plural() == "events"
	return refused || connects || !reads && !chatter || tr.res == resource.Secrets, refused || reads && !connects
}
