package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// logStore tells whoever runs the master what opening the store has cost.
func (s *Server) logStore() {
	log := s.daemon.Log
	if s.report.CompactError != nil {
		log.Warn().Err(s.report.CompactError).Msg("the store's file could not be compacted; it works as it is")
	}
	if s.report.Problem != nil {
		log.Error().Err(s.report.Problem).Str("kept_as", s.report.SetAside).Stringer("restored_rev", s.report.RestoredRev).
			Msg("the store's file was unusable; the last snapshot was restored, later writes are lost")
	}
}

// reportStore tells the cluster's users the same in an Event, once this master may write, and of a backup that it was made
// of.
func (s *Server) reportStore(ctx context.Context, now clock.Now) {
	log := s.daemon.Log
	if s.report.Problem != nil {
		was := "It had vanished."
		if s.report.SetAside != "" {
			was = fmt.Sprintf("It is kept as %s on the master.", filepath.Base(s.report.SetAside))
		}
		err := recordStoreEvent(ctx, s.store, now, "StoreRestored", fmt.Sprintf("The file of the master's store was unusable, and a copy of revision %s has taken its place: "+
			"what was written after it is lost, and pods may be there again that had been deleted. %s Is the disk failing?", s.report.RestoredRev, was))
		if err != nil {
			log.Error().Err(err).Msg("event not recorded")
		}
	}
	if err := s.reportBackup(ctx, now); err != nil {
		log.Error().Err(err).Msg("the note of a backup that this master was restored from is not understood, or stays")
	}
}

// reportBackup tells once that the data directory was made of a backup.
func (s *Server) reportBackup(ctx context.Context, now clock.Now) error {
	from, err := recovery.ReadNote(s.config.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.daemon.Log.Warn().Time("saved", from.Time).Uint64("rev", from.Rev).Msg("this master was restored from a backup; later writes are lost")
	err = recordStoreEvent(ctx, s.store, now, "RestoredFromBackup", fmt.Sprintf("The master was restored from a backup of %s, revision %d: what was written after it is lost, "+
		"and pods may be there again that had been deleted.", from.Time.UTC().Format(time.RFC3339), from.Rev))
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.config.DataDir, recovery.NoteFile))
}

// recordStoreEvent records a warning about the namespace kube-system: the master itself is no object.
func recordStoreEvent(ctx context.Context, st store.Store, now clock.Now, reason, message string) error {
	view := st.View()
	rec, ok := view.Get(resource.Namespaces.Key("", metav1.NamespaceSystem))
	if !ok {
		return fmt.Errorf("there is no namespace %s", metav1.NamespaceSystem)
	}
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return err
	}
	write, err := resource.RecordEvent(view, resource.Occurrence{
		About: resource.Namespaces.Reference("", metav1.NamespaceSystem, meta.UID),
		Type:  corev1.EventTypeWarning, Reason: reason, Message: message, Component: "skerry-master",
	}, now.Wall)
	if err != nil {
		return err
	}
	_, err = st.Commit(ctx, []change.Change{write})
	return err
}
