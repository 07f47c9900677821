// Package session serves what a user does in a pod by way of the master: exec, attach to a container's output, and
// connections to a pod's ports. A session is one stream; it lasts until either end ends it, and what it
// started ends with it.
//
//	stream ── In, Resize ──► Exec ──► engine.Exec ──► process
//	       ◄── Out, Err ─────────────────────────────
//	       ◄── end: exit code, or why not ──
//
// Invariants: nothing buffers more than the stream's window; a stream that is over, also because the master fell
// silent, ends the process or closes the connection.
package session
