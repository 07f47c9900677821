package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Bounds of snapshots: a view costs only what has been written since, but it holds that.
const (
	maxSnapshots = 32
	snapshotAge  = 5 * time.Minute // as long as etcd's compaction leaves to Kubernetes
)

// snapshots are the views whose lists are handed out in pages, so that every page is of the same revision.
type snapshots struct {
	clock clock.Source
	mu    sync.Mutex
	kept  []snapshot // oldest first
}

type snapshot struct {
	view  change.View
	taken clock.Now
}

func newSnapshots(source clock.Source) *snapshots { return &snapshots{clock: source} }

// keep keeps a view for the pages that follow.
func (s *snapshots) keep(view change.View) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
	for _, k := range s.kept {
		if k.view.Rev() == view.Rev() {
			return
		}
	}
	if len(s.kept) == maxSnapshots {
		s.kept = append(s.kept[:0:0], s.kept[1:]...)
	}
	s.kept = append(s.kept, snapshot{view: view, taken: now})
}

// at is the view of a revision, if it is still kept.
func (s *snapshots) at(rev change.Rev) (change.View, bool) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
	for _, k := range s.kept {
		if k.view.Rev() == rev {
			return k.view, true
		}
	}
	return nil, false
}

func (s *snapshots) drop(now clock.Now) {
	old := 0
	for old < len(s.kept) && now.Since(s.kept[old].taken) > snapshotAge {
		old++
	}
	s.kept = append(s.kept[:0:0], s.kept[old:]...)
}

// position is where the next page of a list begins. Clients pass it on unread, as the continue parameter.
type position struct {
	Version string     `json:"v"`
	Rev     change.Rev `json:"rv,omitempty"` // 0: of whatever revision there is
	After   string     `json:"start"`        // namespace/name of the last object of the page before
}

const positionVersion = "skerry.dev/v1"

func (p position) token() string {
	p.Version = positionVersion
	data, _ := json.Marshal(p) // strings and a number always encode
	return base64.RawURLEncoding.EncodeToString(data)
}

func parsePosition(token string) (position, error) {
	var p position
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil || p.Version != positionVersion || !strings.Contains(p.After, "/") {
		return position{}, apierrors.NewBadRequest("continue key is not valid")
	}
	return p, nil
}

// after reports whether a key comes behind the position, in the order of lists.
func (p position) after(key change.Key) bool {
	namespace, name, _ := strings.Cut(p.After, "/")
	if key.Namespace != namespace {
		return key.Namespace > namespace
	}
	return key.Name > name
}

// expired is the answer to a token whose revision is gone: the client lists anew, or goes on with the token
// that comes with the answer and accepts that its pages differ in age.
func (p position) expired() error {
	err := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
		"You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. " +
		"Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted " +
		"between the time the first chunk was returned and now may show up in the list.")
	p.Rev = 0
	err.ErrStatus.Continue = p.token()
	return err
}
