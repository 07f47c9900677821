package conformance

import (
	"strings"
	"sync"
)

// synced collects the output of a process that still runs.
type synced struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (s *synced) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(p)
}

func (s *synced) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}
