// Package peer is the master's half of the conversation with one node, as a pure machine: a message and the time
// go in, effects come out, and the caller carries them out.
//
//	hello ─► Welcome (challenge) ─► complete status that echoes it ─► Current: this run is the node's
//	hb ─► Heard; a digest or position that differs ─► Ask for a complete status, Publish the document again
//	status ─► Report;   presence ─► Offline;   res ─► Publish, Frame
//
// Invariants: until a run has echoed a challenge of this machine, only its hello is acted upon, so that nothing
// recorded earlier is; a challenge serves once; sequences of a run only grow, topic by topic, and begin above
// that of the status that proved the run. Nothing depends on a message arriving: whatever was lost shows in the
// next heartbeat.
package peer
