package apiserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/protocol"
)

// Masters are those of the cluster; its methods may be called from any goroutine.
type Masters interface {
	// Elsewhere says whether another master leads, and at which URL its API is; empty: nobody leads now.
	Elsewhere() (url string, elsewhere bool)
	// Fresh waits until what the store shows is no older than the call; an error says why that can't be told. It takes a few
	// seconds at most.
	Fresh(ctx context.Context) error
	// Standing is what each answer says of this master, as etcdStanding.
	Standing() string
	// Forget takes one that is gone for good off the list, by its id. found is false when there is none; an error may say
	// that it is alive.
	Forget(ctx context.Context, id string) (found bool, err error)
	// List are all masters, as etcd has them. It takes a few seconds at most.
	List(ctx context.Context) MasterList
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
	Epoch  string `json:"epoch"`            // of the writes that the answering master shows
	Etcd   string `json:"etcd"`             // how the answering master gets on with it
	CutOff string `json:"cutOff,omitempty"` // lead or yield: what a leader does that can't reach etcd
	// Conditions of the answering master: EtcdSynced.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Problem    string             `json:"problem,omitempty"` // why only the answering master is listed
	Items      []Master           `json:"items"`
}

// etcdStanding is the header in which a master that has an etcd says how it gets on with it: "leading" and "following" promise
// that etcd has what the answer shows or acknowledges, "away" does not.
const etcdStanding = "Skerry-Etcd"

// standingAway is what Masters.Standing says of a master that does not have etcd.
const standingAway = "away"

// mastersPath is where masters are. They are no objects of the API: who leads can't be in what the leader writes.
const mastersPath = "/apis/skerry.dev/v1/masters"

var masterResource = schema.GroupResource{Group: "skerry.dev", Resource: "masters"}

// ErrMasterAlive is what Masters.Forget says of one that is there.
var ErrMasterAlive = errors.New("it is alive")

// masterPath is the id of a master in a path.
func masterPath(path string) (id string, ok bool) {
	id, ok = strings.CutPrefix(path, mastersPath+"/")
	return id, ok && protocol.CheckLevel(id) == nil
}

// forgetMaster takes one off the list.
func (s *Server) forgetMaster(w http.ResponseWriter, r *http.Request, u user, id string) error {
	if r.Method != http.MethodDelete {
		return notAllowed()
	}
	if err := s.authorizeSpecial(u, verbDelete, masterResource, id); err != nil {
		return err
	}
	if s.Masters == nil {
		return apierrors.NewNotFound(masterResource, id)
	}
	found, err := s.Masters.Forget(r.Context(), id)
	switch {
	case errors.Is(err, ErrMasterAlive):
		return apierrors.NewConflict(masterResource, id, errors.New("it was alive within the last seconds; end it first (systemctl stop skerry-master), and try again in half a minute"))
	case err != nil:
		return unavailable(err.Error())
	case !found:
		return apierrors.NewNotFound(masterResource, id)
	}
	s.log.Warn().Str("master", id).Str("by", u.name).Msg("a master is forgotten: whoever said so has made sure that it is off")
	return writeJSON(w, http.StatusOK, struct{}{})
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

// noteStanding adds it to an answer, unless another master has given the answer and said its own.
func (s *Server) noteStanding(header http.Header) {
	if s.Masters != nil && header.Get(etcdStanding) == "" {
		header.Set(etcdStanding, s.Masters.Standing())
	}
}
