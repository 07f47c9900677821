// Package audit writes down who did what through the API: one line of JSON a request, in a file that is bounded.
//
//	request ─► Record (never blocks) ─► queue ─► Run ─► audit.log, audit.log.1, …
//
// What changes the cluster is always written. What was refused, and who read a Secret, is written once in a while for each
// user and object, with the number of repetitions, so that a program that asks every second does not wear out an SD card
// and a flood of strangers does not push out what happened before. Nothing is written while nothing happens.
//
// Lines are not synced one by one: a power cut may take those of the last half minute. When the queue or the disk is full
// lines are lost and counted, and the API goes on. No line has anything of a request's body or query.
package audit
