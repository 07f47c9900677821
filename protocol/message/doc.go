// Package message holds every message that master and agent exchange, and its encoding.
//
//	agent ── hello, hb, presence, status, res ──► master
//	agent ◄── leader, desired, req ──────────── master
//
// Each travels inside an envelope (package seal), one per MQTT message. Everything may be lost, repeated or
// late; positions and digests reveal it. The package is pure. Fields are only ever added: a number, once
// used, keeps its meaning, and a decoder skips the numbers it does not know.
package message
