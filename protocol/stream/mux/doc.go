// Package mux is the shell around package stream: it keeps the streams of all peers, hands each arriving
// frame to its stream, lets readers and writers block, and watches the time.
//
//	link ── Deliver(peer, frame) ──► Mux ──► Conn ──► Read
//	link ◄── Send(peer, frame) ──── Mux ◄── Conn ◄── Write, Close
//
// Deliver never blocks: a stream buffers at most one window, because its other end has no credit for more.
package mux
