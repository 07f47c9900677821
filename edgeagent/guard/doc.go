// Package guard is the agent's side of skerry-guard, the process that ends the pods of policy stop when their node's
// permit is over, also when the agent is frozen, killed or hung.
//
//	agent ── Arm(deadline) ──► skerry-guard (keeper) ──► cgroups of the group, in every hierarchy
//
// The agent arms the guard before it starts anything in the group, and again, with a later deadline, for each permit
// that it gets. An Arm that has returned without an error is in force whatever becomes of the agent: the guard has the
// deadline in a file below /run, and its timer is set. After the deadline nothing runs in the group until the next Arm;
// nor does anything after Disarm, for the guard leaves the group frozen. So nothing can be started there unguarded.
//
// The package is the client; wire has the words, keeper is the program. Only the standard library is used.
package guard
