package pod

import (
	"encoding/json"
	"fmt"
)

// Record is what must be remembered of a pod across a restart of the agent and of the machine. It changes
// when a container starts, ends, or becomes ready or unready, never while nothing happens.
type Record struct {
	Boot       string                     `json:"boot,omitempty"`    // boot id of the machine when the pod last ran here
	Started    int64                      `json:"started,omitempty"` // status.startTime, Unix seconds
	Bound      bool                       `json:"bound,omitempty"`   // the pod must be single, can run here only, and may
	Containers map[string]ContainerRecord `json:"containers,omitempty"`
}

// ContainerRecord is what is remembered of one container.
type ContainerRecord struct {
	Attempt int   `json:"attempt,omitempty"` // the newest that has run; meaningful when Ran
	Ran     bool  `json:"ran,omitempty"`
	Exit    *Exit `json:"exit,omitempty"`  // of Attempt
	Last    *Exit `json:"last,omitempty"`  // of the attempt before
	Ends    int   `json:"ends,omitempty"`  // in a row: sets the restart delay
	Up      bool  `json:"up,omitempty"`    // the startup probe of Attempt has passed
	Ready   bool  `json:"ready,omitempty"` // what the readiness probe of Attempt last came to
	Floor   int   `json:"floor,omitempty"` // attempts below it count for nothing: the machine has been rebooted
}

// Exit is how an attempt ended.
type Exit struct {
	Code     int    `json:"code"`
	Reason   string `json:"reason"` // Completed, Error, OOMKilled, StartError, ContainerStatusUnknown
	Message  string `json:"message,omitempty"`
	Started  int64  `json:"started,omitempty"` // Unix seconds; 0: unknown
	Finished int64  `json:"finished,omitempty"`
	ImageID  string `json:"imageID,omitempty"`
}

// EncodeRecord encodes a record; equal records have equal encodings.
func EncodeRecord(r Record) []byte {
	out, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("pod: a record does not encode: %v", err)) // its types always do
	}
	return out
}

// DecodeRecord reads a record.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode pod record: %w", err)
	}
	return r, nil
}
