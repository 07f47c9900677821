// Command skerry-guard ends the pods of policy stop when their node's permit is over, whatever has become of the agent.
// It is small, locked in memory, started by systemd when the agent first connects, and gone when nothing is armed.
//
//	        ┌ poll: timer, socket, connections ───────┐
//	loop ───┤                                         ├──► keeper.Step(now) ──► ending.step(now) ──► cgroups
//	        └ request ──► keeper.answer ─► stateFile ─┘
//
// One goroutine does everything; nothing waits but the poll. The parts:
//
//   - keeper has the armed groups. It persists, then acts, then the timer is set, and only then the answer leaves.
//   - ending brings one group to its end, and keeps it there: freeze, kill, thaw what only dies awake, look, freeze.
//   - hierarchy is one of the cgroup file systems that are mounted: version 2 has cgroup.freeze and cgroup.kill; version 1 has a freezer
//     for one hierarchy, and everything else is killed one by one.
//   - stateFile, below /run, has boot id, groups and deadlines for the guard that is started after this one.
//   - watchdog restarts the board when a process can be neither killed nor frozen.
//
// Invariants. After its deadline a group is frozen, but for the moments in which killed processes die (they wake up with
// the kill pending, so that no instruction of theirs runs). A group that isn't armed any more is left frozen. A state
// that can't be persisted is never acknowledged. Time is CLOCK_BOOTTIME alone.
//
// A signal ends the guard at once, and systemd starts another, which goes on from the state file.
//
// Standard library only, and neither os nor fmt, net or time zones: it has to fit into 3 MB, all of which stays in memory.
package main
