package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
)

// Slot is who may run where only one pod may, as the API has it.
type Slot struct {
	Namespace    string `json:"namespace"`
	Slot         string `json:"slot"`                   // whose it is, and its number: "deployment/web/0", "pod/db/0"
	Pod          string `json:"pod"`                    // that holds it
	UID          string `json:"uid"`                    // of that pod, which may be gone
	Node         string `json:"node"`                   // that may run it
	LastsSeconds int64  `json:"lastsSeconds,omitempty"` // how long a permit is at most; none when it is bound
	Bound        bool   `json:"bound,omitempty"`        // the pod can run on no other node: only the node's word ends this, or fencing
}

// SlotList is what the API answers with.
type SlotList struct {
	Items []Slot `json:"items"`
}

// slotsPath is where slots are: what edgectl fence talks to.
const slotsPath = "/apis/skerry.dev/v1/slots"

// slotPath is the node that a path names, if it is one of slots; empty: all of them.
func slotPath(path string) (node string, ok bool) {
	if path == slotsPath {
		return "", true
	}
	node, ok = strings.CutPrefix(path, slotsPath+"/")
	return node, ok && protocol.CheckLevel(node) == nil
}

var slotResource = schema.GroupResource{Group: "skerry.dev", Resource: "slots"}

// serveSlots lists the slots that are taken, of a node if one is named, or sets those of a node free: it is off, says
// whoever asks, and nothing of it will run again by itself.
func (s *Server) serveSlots(w http.ResponseWriter, r *http.Request, u user, node string, tr *trail) error {
	verb := map[string]string{http.MethodGet: verbList, http.MethodDelete: verbDelete}[r.Method]
	if err := s.authorizeSpecial(u, verb, slotResource, node); err != nil {
		return err
	}
	switch {
	case r.Method == http.MethodGet:
		return writeJSON(w, http.StatusOK, SlotList{Items: slots(s.Store.View(), node)})
	case r.Method == http.MethodDelete && node != "":
		freed, err := s.fence(r.Context(), node, u.name)
		if err != nil {
			return err
		}
		tr.entry.Name = node
		return writeJSON(w, http.StatusOK, SlotList{Items: freed})
	}
	return notAllowed()
}

// slots are those that are taken, by a node if one is named.
func slots(view change.View, node string) []Slot {
	out := []Slot{}
	for rec := range view.List(resource.SlotKind, "") {
		s, err := resource.DecodeSlot(rec.Value)
		if err != nil || node != "" && s.Node != node {
			continue
		}
		item := Slot{Namespace: rec.Key.Namespace, Slot: resource.SlotName(rec.Key), Pod: s.Name, UID: string(s.Pod), Node: s.Node, Bound: s.Bound}
		if !s.Bound {
			item.LastsSeconds = int64(s.Lasts().Seconds())
		}
		out = append(out, item)
	}
	return out
}

// fence sets the slots of a node free, and says so on the node.
func (s *Server) fence(ctx context.Context, node, by string) ([]Slot, error) {
	for {
		view := s.Store.View()
		changes, freed := resource.Fence(view, node), slots(view, node)
		if len(changes) == 0 {
			if _, exists := view.Get(resource.Nodes.Key("", node)); !exists {
				return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, node)
			}
			return freed, nil
		}
		if rec, exists := view.Get(resource.Nodes.Key("", node)); exists {
			event, err := fencedEvent(view, rec, node, by, len(changes), s.Clock().Wall)
			if err != nil {
				return nil, apierrors.NewInternalError(err)
			}
			changes = append(changes, event)
		}
		_, err := s.Store.Commit(ctx, changes)
		switch {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return nil, apierrors.NewInternalError(fmt.Errorf("fence node %s: %w", node, err))
		}
		var names []string
		for _, f := range freed {
			names = append(names, f.Namespace+"/"+f.Slot)
		}
		s.Log.Warn().Str("node", node).Str("user", by).Strs("slots", names).Msg("node fenced: what it may have run only once may run elsewhere now")
		return freed, nil
	}
}

func fencedEvent(view change.View, rec change.Record, node, by string, count int, at time.Time) (change.Change, error) {
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return change.Change{}, err
	}
	return resource.RecordEvent(view, resource.Occurrence{
		About: resource.Nodes.Reference("", node, meta.UID), Type: corev1.EventTypeWarning, Reason: "Fenced",
		Message:   fmt.Sprintf("%s says that this node is off: %d slots that it held are free", by, count),
		Component: "skerry-apiserver",
	}, at)
}
