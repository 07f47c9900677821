package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/logs"
	"github.com/skerry-edge/skerry/protocol/message"
)

// logSource finds the log files below one directory: <pod uid>/<container>/<attempt>.log.
type logSource struct {
	root     string
	statuses func() (version uint64, pods []message.PodStatus)
}

// Log implements logs.Source.
func (s logSource) Log(uid, container string, previous bool) (logs.Place, error) {
	if !isName(uid) || !isName(container) {
		return logs.Place{}, logs.ErrNoContainer
	}
	dir := filepath.Join(s.root, uid, container)
	attempts, err := attempts(dir)
	if err != nil {
		return logs.Place{}, err
	}
	switch {
	case len(attempts) == 0 && !s.knows(uid):
		return logs.Place{}, logs.ErrNoContainer
	case len(attempts) == 0:
		return logs.Place{}, logs.ErrNotStarted
	case previous && len(attempts) < 2:
		return logs.Place{}, logs.ErrNoPrevious
	}
	attempt := attempts[len(attempts)-1]
	running := func() bool { return s.running(uid, container, attempt) }
	if previous {
		attempt = attempts[len(attempts)-2]
		running = func() bool { return false }
	}
	return logs.Place{Path: filepath.Join(dir, fmt.Sprintf("%d.log", attempt)), Running: running}, nil
}

// isName keeps what comes from outside from leading out of the directory.
func isName(text string) bool { return text != "" && filepath.Base(text) == text && text[0] != '.' }

// attempts are the runs of a container whose logs are there, in order.
func attempts(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the container's logs: %w", err)
	}
	var found []int
	for _, e := range entries {
		if number, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

func (s logSource) status(uid string) (*corev1.PodStatus, bool) {
	_, pods := s.statuses()
	i := slices.IndexFunc(pods, func(p message.PodStatus) bool { return p.UID == uid && !p.Gone })
	if i < 0 {
		return nil, false
	}
	status := &corev1.PodStatus{}
	if err := status.Unmarshal(pods[i].Status); err != nil {
		return nil, false // our own encoding: it does not happen
	}
	return status, true
}

func (s logSource) knows(uid string) bool {
	_, ok := s.status(uid)
	return ok
}

// running reports whether a run of a container may still write: until its end has been reported.
func (s logSource) running(uid, container string, attempt int) bool {
	status, ok := s.status(uid)
	if !ok {
		return false
	}
	for _, c := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		if c.Name != container {
			continue
		}
		over := c.State.Terminated != nil || c.State.Waiting != nil && c.LastTerminationState.Terminated != nil
		return int(c.RestartCount) < attempt || int(c.RestartCount) == attempt && !over
	}
	return false
}
