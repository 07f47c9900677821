// Package stream carries byte streams (logs, exec, attach, port-forward) inside the messages between
// master and agent: frames, their order, and credit. It is pure; package mux is the shell around it.
//
//	opener ── open ─────────────────────────────► acceptor
//	       ── credit n ─────────────────────────►            "you may send n bytes more"
//	       ◄───────────────────────── data 1 … k ──
//	       ── credit (as bytes are consumed) ───►
//	       ── fin (one channel, one direction) ─►            "no more on stdin"
//	       ◄───────────────────────────────── end ──          clean, or with an error in words
//
// Both directions are alike. Invariants: data frames are numbered and a gap ends the stream with an error,
// so what is delivered is always a prefix of what was sent; nobody sends more than it has credit for, so a
// slow reader costs one window of memory and stalls nobody else; an end that hears nothing for its patience
// gives up, so a lost peer ends the stream.
package stream
