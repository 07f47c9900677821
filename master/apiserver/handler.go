package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Handler serves the API; Run wraps it in TLS.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// serve is the way of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	t, isResource := s.parseTarget(r.URL.Path)
	query := r.URL.Query()
	verb, kind := "other", ""
	var gr schema.GroupResource
	if isResource {
		gr, kind = t.res.GVR().GroupResource(), string(t.res.Kind)
		if v := t.verb(r.Method, query); v != "" {
			verb = v
		}
	}
	trail := s.newTrail(w, r, t, verb)
	out := &recorded{ResponseWriter: w, began: func(code int) {
		s.noteStanding(w.Header())
		trail.answered(code)
	}}
	done := s.metrics.begin(verb, kind)
	defer func() { trail.answered(out.code); done(out.code) }()
	defer s.catch(out, r)

	err := s.open(out, r, func() error {
		if r.URL.Path == masterJoinsPath {
			return s.serveMasterJoin(out, r, trail)
		}
		u, err := s.authenticate(r, s.Clock().Wall)
		if err != nil {
			trail.entry.Reason = err.Error()
			return err
		}
		trail.by(u)
		if err := refuseImpersonation(u, r.Header); err != nil {
			return err
		}
		if !t.lasts(verb) { // watches have places of their own
			release, err := s.limits.request()
			if err != nil {
				return err
			}
			defer release()
		}
		if needsLeader(t, isResource, verb, r.URL.Path) {
			if handled, err := s.passOn(out, r, u); handled {
				return err
			}
		} else if isResource && !t.res.Asked && s.refresh(out, r, u, verb) {
			return nil
		}
		if id, ok := masterPath(r.URL.Path); ok {
			return s.forgetMaster(out, r, u, id)
		}
		if r.URL.Path == mastersPath {
			return s.serveMasters(out, r, u)
		}
		if r.URL.Path == conflictsPath || strings.HasPrefix(r.URL.Path, conflictsPath+"/") {
			return s.serveConflicts(out, r, u)
		}
		if r.URL.Path == brokerPath {
			return s.serveBroker(out, r, u)
		}
		if r.URL.Path == certificatesPath {
			return s.serveCertificates(out, r, u, trail)
		}
		if node, ok := slotPath(r.URL.Path); ok {
			return s.serveSlots(out, r, u, node, trail)
		}
		if r.URL.Path == backupsPath {
			return s.serveBackups(out, r, u)
		}
		if r.URL.Path == recoveryKeyPath {
			return s.serveRecoveryKey(out, r, u)
		}
		if name, ok := tokenPath(r.URL.Path); ok {
			return s.serveTokens(out, r, u, name, trail)
		}
		if !isResource {
			if err := s.authorizePath(u, r.Method, r.URL.Path); err != nil {
				return err
			}
			return s.meta(out, r)
		}
		c := &call{Server: s, target: t, ctx: r.Context(), w: out, r: r, user: u, trail: trail, verb: verb, query: query, now: s.Clock().Wall}
		return c.dispatch()
	})
	if err != nil {
		s.fail(out, r, err, gr, t.name)
	}
}

// open serves what everybody may see, and calls closed for the rest.
func (s *Server) open(w http.ResponseWriter, r *http.Request, closed func() error) error {
	switch r.URL.Path {
	case "/healthz", "/livez":
		s.health(w, nil)
	case "/readyz":
		var err error
		if s.Ready != nil {
			err = s.Ready()
		}
		s.health(w, err)
	case "/version", "/version/":
		s.version(w, r)
	default:
		return closed()
	}
	return nil
}

// meta serves the paths that describe the API.
func (s *Server) meta(w http.ResponseWriter, r *http.Request) error {
	s.explain(w, r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notServed()
	}
	for _, serve := range []func(http.ResponseWriter, *http.Request) bool{s.discover, s.describeAPI, s.noneOf} {
		if serve(w, r) {
			return nil
		}
	}
	return notServed()
}

// absent are kinds of which there are none, at the paths at which kubectl asks for them without a look at
// discovery, taking every error for a failure of its own: before it says that a kind is unknown, and for cluster-info
// dump, in each namespace.
var absent = []struct {
	before, after string // of a path; a namespace is between them
	kind          schema.GroupVersionKind
}{
	{"/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "", schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinitionList"}},
	{"/api/v1/namespaces/", "/replicationcontrollers", schema.GroupVersionKind{Version: "v1", Kind: "ReplicationControllerList"}},
	{"/apis/apps/v1/namespaces/", "/daemonsets", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSetList"}},
}

// noneOf answers that there are no objects of an absent kind.
func (s *Server) noneOf(w http.ResponseWriter, r *http.Request) bool {
	for _, k := range absent {
		namespace, ok := strings.CutPrefix(r.URL.Path, k.before)
		namespace, ends := strings.CutSuffix(namespace, k.after)
		if !ok || !ends || (namespace == "") != (k.after == "") || strings.Contains(namespace, "/") {
			continue
		}
		list := &metav1.PartialObjectMetadataList{Items: []metav1.PartialObjectMetadata{}}
		list.SetGroupVersionKind(k.kind)
		s.write(w, r, http.StatusOK, format{media: mediaJSON}, list)
		return true
	}
	return false
}

// explain adds a warning, which kubectl prints, where what it makes of the answer would not tell what is missing.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/apis/autoscaling/") {
		w.Header().Add("Warning", `299 - "skerry has no autoscaler; set the number of replicas with scale"`)
	}
}

// dispatch calls the verb, if the resource has it and the user may.
func (c *call) dispatch() error {
	if err := c.authorize(); err != nil {
		return err
	}
	if c.subresource != "" {
		for _, sub := range subresourcesOf(c.res) {
			if sub.name != c.subresource {
				continue
			}
			if !slices.Contains(sub.verbs, c.verb) {
				return notAllowed()
			}
			return sub.serve(c)
		}
		return notServed()
	}
	if !slices.Contains(verbs(c.res), c.verb) {
		return notAllowed()
	}
	if c.res.Asked {
		return c.review()
	}
	if c.res.Measured {
		return c.measured()
	}
	switch c.verb {
	case verbList:
		return c.list()
	case verbWatch:
		return c.watch()
	case verbCreate:
		return c.create()
	case verbDelete:
		return c.delete()
	case verbDeleteCollection:
		return c.deleteCollection()
	}
	return c.servePart(c.whole())
}

// brokenAnswer is an error after the answer's beginning has been sent: the connection is broken off, so that
// the client never takes a part for the whole.
type brokenAnswer struct{ error }

// catch turns a panic into 500, or into a broken connection where the answer has begun.
func (s *Server) catch(out *recorded, r *http.Request) {
	panicked := recover()
	if panicked == nil {
		return
	}
	if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	event := s.log.Error().Str("method", r.Method).Str("path", r.URL.Path)
	if broken, ok := panicked.(brokenAnswer); ok {
		event.Err(broken.error).Msg("answer broken off")
	} else {
		event.Str("panic", fmt.Sprint(panicked)).Bytes("stack", debug.Stack()).Msg("request panicked")
	}
	if out.code != 0 {
		panic(http.ErrAbortHandler)
	}
	s.fail(out, r, errors.New("the server has met an error of its own; its log says more"), schema.GroupResource{}, "")
}
