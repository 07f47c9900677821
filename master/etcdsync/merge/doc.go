// Package merge decides what becomes of writes that a master made while etcd was away: pushed, dropped, or kept as
// conflicts. It is pure.
//
//	what differs here (one Write an object) + what etcd has + the newest term in etcd ─► Verdict: action and reason
//
// A write is known by its revision, which lies in its epoch's block and never means two writes. Each Write names the one
// that it replaced. As long as no other master has led, etcd only lacks what this one wrote, and everything is pushed,
// whatever part of it got there before. Once another has led, its writes win; of this one's those are pushed that
// replace what is still there, if they were somebody's will, and what lost is a conflict if it was. What controllers,
// nodes and the scheduler write is never one: they see the new state and write again.
package merge
