// Package peer is the agent's half of the conversation with the master, as a pure machine: messages, the
// connection and a snapshot of the node go in, effects come out, and the caller carries them out.
//
//	m/leader ─► hello ─► welcome ─► complete status, heartbeats, incremental statuses
//	                            └─► desired: nothing older than the welcome named ─► Apply or KeepPosition
//
// Invariants: the master's messages count only from the run that the newest valid announcement names, and only
// after it has echoed this run's challenge; no epoch below the highest one seen is obeyed; no document is
// applied before this run is welcomed, nor one older than what is stored or was named. That no document arrives
// means nothing: the stored one goes on. While nothing changes the machine sends heartbeats and nothing else.
package peer
