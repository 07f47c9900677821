package reconcile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// LogFiles are the pods' log files below one directory, as <pod uid>/<container>/<attempt>.log and, rotated,
// <attempt>.log.<n>. It implements Logs.
type LogFiles struct{ Root string }

// RemoveAttempt removes the log of one attempt.
func (l LogFiles) RemoveAttempt(podUID, container string, attempt int) error {
	dir, err := l.dir(podUID)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, filepath.Base(container), fmt.Sprintf("%d.log", attempt))
	rotated, err := filepath.Glob(base + ".*")
	if err != nil {
		return fmt.Errorf("remove logs: %w", err)
	}
	var errs []error
	for _, path := range append(rotated, base) {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, fmt.Errorf("remove logs: %w", err))
		}
	}
	return errors.Join(errs...)
}

// RemovePod removes all logs of a pod.
func (l LogFiles) RemovePod(podUID string) error {
	dir, err := l.dir(podUID)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove logs: %w", err)
	}
	return nil
}

// dir is a pod's directory. A name that would lead anywhere else is refused: whole trees are removed here.
func (l LogFiles) dir(podUID string) (string, error) {
	if l.Root == "" || podUID == "" || podUID == "." || podUID == ".." || filepath.Base(podUID) != podUID {
		return "", fmt.Errorf("remove logs: %q below %q is no pod's directory", podUID, l.Root)
	}
	return filepath.Join(l.Root, podUID), nil
}
