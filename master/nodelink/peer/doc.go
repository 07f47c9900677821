// Package peer is the master's half of the conversation with one node, as a pure machine: a message and the time
// go in, effects come out, and the caller carries them out.
//
//	hello ─► Welcome (challenge) ─► complete status that echoes it ─► Current: this run is the node's
//	hb ─► Heard; a digest or position that differs ─► Ask for a complete status, Publish the document again
//	status ─► Report;   presence ─► Offline;   res ─► Publish, Frame, KeepKey
//	what was not opened ─► Ask the run that it claims to be of;   whatever a removed node says ─► Revoke
//
// Messages come in opened: who sealed them is certain, when is not. Invariants: until a run has echoed a challenge of
// this machine, only its hello is acted upon, so that nothing recorded earlier is; a challenge serves once; sequences
// of a run only grow, topic by topic, and begin above all that was heard before the run was proven. Nothing depends on
// a message arriving: whatever was lost shows in the next heartbeat.
package peer
