package server

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// logStore tells whoever runs the master what opening the store has cost.
func (s *Server) logStore() {
	log := s.daemon.Log
	if s.report.CompactError != nil {
		log.Warn().Err(s.report.CompactError).Msg("the store's file could not be compacted; it works as it is")
	}
	if s.report.Problem == nil {
		return
	}
	log.Error().Err(s.report.Problem).Str("kept_as", s.report.SetAside).Stringer("restored_rev", s.report.RestoredRev).
		Msg("the store's file was unusable; the last snapshot was restored, later writes are lost")
}

// reportStore tells the cluster's users the same in an Event, once this master may write.
func (s *Server) reportStore(ctx context.Context, now clock.Now) {
	if s.report.Problem == nil {
		return
	}
	if err := recordRestored(ctx, s.store, s.report, now); err != nil {
		s.daemon.Log.Error().Err(err).Msg("event not recorded")
	}
}

// recordRestored records that a snapshot has taken the place of an unusable file, about the namespace kube-system: the
// master itself is no object.
func recordRestored(ctx context.Context, st store.Store, report bolt.Report, now clock.Now) error {
	view := st.View()
	rec, ok := view.Get(resource.Namespaces.Key("", metav1.NamespaceSystem))
	if !ok {
		return fmt.Errorf("there is no namespace %s", metav1.NamespaceSystem)
	}
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return err
	}
	was := "It had vanished."
	if report.SetAside != "" {
		was = fmt.Sprintf("It is kept as %s on the master.", filepath.Base(report.SetAside))
	}
	write, err := resource.RecordEvent(view, resource.Occurrence{
		About: resource.Namespaces.Reference("", metav1.NamespaceSystem, meta.UID),
		Type:  corev1.EventTypeWarning, Reason: "StoreRestored", Component: "skerry-master",
		Message: fmt.Sprintf("The file of the master's store was unusable, and a copy of revision %s has taken its place: what was written after it is lost, "+
			"and pods may be there again that had been deleted. %s Is the disk failing?", report.RestoredRev, was),
	}, now.Wall)
	if err != nil {
		return err
	}
	_, err = st.Commit(ctx, []change.Change{write})
	return err
}
