// Package logs reads what skerry-log (package writer) wrote: the lines of a container's log, from where the
// reader wants them, following what is still being written, across rotations.
//
//	stream of kind logs ─► Server.Serve ─► Source: which files? ─► Reader: lines ─► stream
//
// The files are the truth; nothing is kept in memory but a block of one file. A stream ends cleanly only
// when everything that was asked for has been sent.
package logs
