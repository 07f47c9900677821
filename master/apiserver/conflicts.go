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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
)

// Conflicts are the writes that were made on a master while it was cut off, and lost against another's. Errors say why etcd
// can't tell.
type Conflicts interface {
	List(ctx context.Context) ([]Conflict, error)
	Get(ctx context.Context, id string) (c Conflict, found bool, err error)
	// Forget takes one off the list.
	Forget(ctx context.Context, id string) (found bool, err error)
}

// Conflict is one of them as people see it.
type Conflict struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"` // as the API's paths have it, with the group: deployments.apps
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	Deleted   bool      `json:"deleted,omitempty"` // the write deleted the object
	By        string    `json:"by,omitempty"`      // what was done, and by whom: "update by alice"
	Written   time.Time `json:"written,omitzero"`  // by the clock of the master that took it
	Master    string    `json:"master"`            // that master's host
	Epoch     string    `json:"epoch"`             // in which it led
	Reason    string    `json:"reason"`            // why it lost
	Found     time.Time `json:"found"`             // when that was seen

	Key   change.Key `json:"-"`
	Value []byte     `json:"-"` // the object as it was written; nil: it was deleted
}

// ConflictList is what the API answers with.
type ConflictList struct {
	Items []Conflict `json:"items"`
}

// ConflictDetail is one with both sides. What a Secret holds is in neither.
type ConflictDetail struct {
	Conflict
	Lost    json.RawMessage `json:"lost,omitempty"`    // the object as the lost write left it; none: deleted, or of no kind that people see
	Current json.RawMessage `json:"current,omitempty"` // as it is in force; none: it is not there
}

const conflictsPath = ownPaths + "conflicts"

var conflictResource = schema.GroupResource{Group: "skerry.dev", Resource: "conflicts"}

// serveConflicts tells of conflicts, and ends them, for who may do everything: they are of all kinds.
//
//	GET conflicts, GET conflicts/ID, DELETE conflicts/ID forgets it, POST conflicts/ID/accept writes what lost
func (s *Server) serveConflicts(w http.ResponseWriter, r *http.Request, u user) error {
	if err := s.allowEverything(u, conflictResource, "work with conflicts"); err != nil {
		return err
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, conflictsPath), "/")
	id, verb, _ := strings.Cut(rest, "/")
	if s.Conflicts == nil {
		if id == "" && r.Method == http.MethodGet {
			return writeJSON(w, http.StatusOK, ConflictList{Items: []Conflict{}}) // one master alone has none
		}
		return apierrors.NewNotFound(conflictResource, id)
	}
	if id == "" {
		if r.Method != http.MethodGet {
			return notAllowed()
		}
		all, err := s.Conflicts.List(r.Context())
		if err != nil {
			return unavailable(err.Error())
		}
		return writeJSON(w, http.StatusOK, ConflictList{Items: append([]Conflict{}, all...)})
	}
	if protocol.CheckLevel(id) != nil {
		return apierrors.NewNotFound(conflictResource, id)
	}
	c, found, err := s.Conflicts.Get(r.Context(), id)
	if err != nil {
		return unavailable(err.Error())
	}
	if !found {
		return apierrors.NewNotFound(conflictResource, id)
	}
	switch {
	case verb == "" && r.Method == http.MethodGet:
		detail, err := s.conflictDetail(c)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, detail)
	case verb == "accept" && r.Method == http.MethodPost:
		if err := s.acceptConflict(r, u, c); err != nil {
			return err
		}
	case verb != "" || r.Method != http.MethodDelete:
		return notAllowed()
	}
	if _, err := s.Conflicts.Forget(r.Context(), id); err != nil {
		return unavailable("the conflict stays in the list: " + err.Error())
	}
	s.log.Info().Str("conflict", id).Stringer("object", c.Key).Str("by", u.name).Bool("accepted", verb == "accept").Msg("conflict ended")
	return writeJSON(w, http.StatusOK, struct{}{})
}

// conflictDetail shows both sides as they can be compared.
func (s *Server) conflictDetail(c Conflict) (ConflictDetail, error) {
	out := ConflictDetail{Conflict: c}
	of := resource.ByKind(c.Key.Kind)
	if of == nil {
		return out, nil
	}
	lost, err := object(of, change.Record{Key: c.Key, Rev: 1, Value: c.Value})
	if err != nil {
		return out, fmt.Errorf("read what lost: %w", err)
	}
	rec, _ := s.Store.View().Get(c.Key)
	current, err := object(of, rec)
	if err != nil {
		return out, err
	}
	hide(lost, current)
	if out.Lost, err = compared(of, lost); err == nil {
		out.Current, err = compared(of, current)
	}
	return out, err
}

// compared is an object without what every write changes, and without its status, which is never in a conflict.
func compared(of *resource.Resource, o resource.Object) (json.RawMessage, error) {
	if o == nil {
		return nil, nil
	}
	o.GetObjectKind().SetGroupVersionKind(of.GVK)
	o.SetResourceVersion("")
	o.SetUID("")
	o.SetGeneration(0)
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	return json.Marshal(fields)
}

// acceptConflict writes what lost on top of what is in force, as the user's own request: it is checked, authorized and taken
// down as if they had sent it. What can't be written so is 409, and the conflict stays.
func (s *Server) acceptConflict(r *http.Request, u user, c Conflict) error {
	of := resource.ByKind(c.Key.Kind)
	if of == nil {
		return conflicted(c, "it is nothing that can be written through the API; discard it, and do anew what it did (a node joins again, a token is made again)")
	}
	rec, there := s.Store.View().Get(c.Key)
	current, err := object(of, rec)
	if err != nil {
		return err
	}
	method, body := http.MethodPut, any(nil)
	switch {
	case c.Value == nil && !there:
		return nil // it is gone
	case c.Value == nil:
		uid, rv := current.GetUID(), rec.Rev.String()
		method = http.MethodDelete
		body = metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}}
	default:
		lost, err := object(of, change.Record{Key: c.Key, Rev: 1, Value: c.Value})
		if err != nil {
			return fmt.Errorf("read what lost: %w", err)
		}
		lost.GetObjectKind().SetGroupVersionKind(of.GVK)
		if there {
			if lost.GetUID() != current.GetUID() {
				return conflicted(c, "the object was deleted and made anew since; take from edgectl conflicts show what is still wanted, and discard the conflict")
			}
			lost.SetResourceVersion(rec.Rev.String())
		} else {
			method = http.MethodPost
			lost.SetResourceVersion("")
			lost.SetUID("")
		}
		body = lost
	}
	return s.send(r, u, of, c.Key, method, body)
}

// send makes a request of the user's out of another, and returns its error.
func (s *Server) send(r *http.Request, u user, of *resource.Resource, key change.Key, method string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	t := target{res: of, namespace: key.Namespace, name: key.Name}
	if method == http.MethodPost {
		t.name = ""
	}
	inner, err := http.NewRequestWithContext(r.Context(), method, "/", strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	inner.Header.Set("Content-Type", mediaJSON)
	inner.Header.Set("Accept", mediaJSON)
	inner.RemoteAddr = r.RemoteAddr
	answer := &unread{header: http.Header{}, code: http.StatusOK}
	verb := t.verb(method, nil)
	trail := s.newTrail(answer, inner, t, verb)
	trail.entry.Name = key.Name
	trail.by(u)
	c := &call{Server: s, target: t, ctx: inner.Context(), w: answer, r: inner, user: u, trail: trail, verb: verb, now: s.Clock().Wall}
	if err := c.dispatch(); err != nil {
		status := statusOf(err, of.GVR().GroupResource(), key.Name)
		trail.answered(int(status.ErrStatus.Code))
		return status
	}
	trail.answered(answer.code)
	return nil
}

// unread is an answer that nobody reads.
type unread struct {
	header http.Header
	code   int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) WriteHeader(code int)        { u.code = code }
func (u *unread) Write(p []byte) (int, error) { return len(p), nil }

func conflicted(c Conflict, why string) error {
	return apierrors.NewConflict(schema.ParseGroupResource(c.Kind), c.Name, errors.New(why))
}
