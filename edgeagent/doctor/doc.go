// Package doctor looks at a machine that is to be a node, or is one that doesn't do well, and says what is wrong
// with it and what to do, before anything runs.
//
//	/proc, /sys, statfs, clocks ─┐
//	what the parts of the agent ─┴► Examine ─► a Finding for each thing looked at ─► Print ─► a line each
//	say of themselves (Config)
//
// Fail means that no pod can run here until it is mended, Warn that some can't or that something is worse than it
// could be. A finding that isn't OK always has a remedy. Looking changes nothing on the machine.
package doctor
