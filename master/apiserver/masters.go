package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/protocol"
)

// Masters are those of the cluster; its methods may be called from any goroutine.
type Masters interface {
	// Elsewhere says whether another master leads, and at which URL its API is; empty: nobody leads now.
	Elsewhere() (url string, elsewhere bool)
	// List are all masters, as etcd has them. It takes a few seconds at most.
	List(ctx context.Context) MasterList
	// Conflicts are the writes of users that lost against another master's. It takes a few seconds at most.
	Conflicts(ctx context.Context) ([]Conflict, error)
	// Forget removes one; found is false when there is none of this id.
	Forget(ctx context.Context, id string) (found bool, err error)
}

// Conflict is one of them as people see it.
type Conflict struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"` // as in paths: deployments.apps
	Namespace string          `json:"namespace,omitempty"`
	Name      string          `json:"name"`
	Master    string          `json:"master"` // that it was written on
	Reason    string          `json:"reason"` // why it lost
	Found     time.Time       `json:"found"`
	Deleted   bool            `json:"deleted,omitempty"` // the write was a deletion
	Object    json.RawMessage `json:"object,omitempty"`  // what was written, where that can be shown
}

// ConflictList is what the API answers with.
type ConflictList struct {
	Items []Conflict `json:"items"`
}

// Master is one of them as people see it.
type Master struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"`
	Role     string   `json:"role"`  // leader or follower
	Self     bool     `json:"self"`  // it is the one that answers
	Alive    bool     `json:"alive"` // it has said so within the last lease
	API      string   `json:"api"`
	Brokers  []string `json:"brokers,omitempty"`
	Version  string   `json:"version"`
	Revision string   `json:"revision,omitempty"` // of the newest write that it had when it last said so
}

// MasterList is what the API answers with.
type MasterList struct {
	Epoch   string   `json:"epoch"`             // of the writes that the answering master shows
	Etcd    string   `json:"etcd"`              // how the answering master gets on with it
	Problem string   `json:"problem,omitempty"` // why only the answering master is listed
	Items   []Master `json:"items"`
}

// mastersPath is where masters are. They are no objects of the API: who leads can't be in what the leader writes.
const mastersPath = "/apis/skerry.dev/v1/masters"

var masterResource = schema.GroupResource{Group: "skerry.dev", Resource: "masters"}

// conflictsPath is where conflicts are: what edgectl conflicts talks to.
const conflictsPath = "/apis/skerry.dev/v1/conflicts"

var conflictResource = schema.GroupResource{Group: "skerry.dev", Resource: "conflicts"}

// conflictPath is the id that a path names, if it is one of conflicts; empty: all of them.
func conflictPath(path string) (id string, ok bool) {
	if path == conflictsPath {
		return "", true
	}
	id, ok = strings.CutPrefix(path, conflictsPath+"/")
	return id, ok && protocol.CheckLevel(id) == nil
}

// serveConflicts answers for conflicts, which may be Secrets.
func (s *Server) serveConflicts(w http.ResponseWriter, r *http.Request, u user, id string) error {
	verb := map[string]string{http.MethodGet: verbList, http.MethodDelete: verbDelete}[r.Method]
	if err := s.authorizeSpecial(u, verb, conflictResource, id); err != nil {
		return err
	}
	switch {
	case s.Masters == nil:
		return writeJSON(w, http.StatusOK, ConflictList{Items: []Conflict{}})
	case id == "" && r.Method == http.MethodGet:
		all, err := s.Masters.Conflicts(r.Context())
		if err != nil {
			return unavailable("the conflicts can't be read: " + err.Error())
		}
		return writeJSON(w, http.StatusOK, ConflictList{Items: append([]Conflict{}, all...)})
	case id != "" && r.Method == http.MethodDelete:
		found, err := s.Masters.Forget(r.Context(), id)
		switch {
		case err != nil:
			return unavailable(err.Error())
		case !found:
			return apierrors.NewNotFound(conflictResource, id)
		}
		return writeJSON(w, http.StatusOK, struct{}{})
	}
	return notAllowed()
}

// serveMasters answers who is there and who leads.
func (s *Server) serveMasters(w http.ResponseWriter, r *http.Request, u user) error {
	if r.Method != http.MethodGet {
		return notAllowed()
	}
	if err := s.authorizeSpecial(u, verbList, masterResource, ""); err != nil {
		return err
	}
	if s.Masters == nil {
		return writeJSON(w, http.StatusOK, MasterList{Epoch: s.Store.Epoch().String(), Etcd: "none: this master is the only one", Items: []Master{}})
	}
	return writeJSON(w, http.StatusOK, s.Masters.List(r.Context()))
}
