// Package wire has the words between the agent and skerry-guard: one line asks, one line answers, then the connection
// ends. Lines are short text, so that a person can ask too:
//
//	arm 83000000000 /skerry-1a2b3c4d/stop       until then, in nanoseconds of CLOCK_BOOTTIME
//	disarm /skerry-1a2b3c4d/stop
//	state /skerry-1a2b3c4d/stop
//
//	ok armed=1 deadline=83000000000 fired=0 watchdog=1 rebooting=0 stuck=
//	busy WHY                                    ask again later
//	refused WHY                                 asking again changes nothing
//
// Both sides bound what they read (MaxRequest, MaxAnswer) and check a group's name the same way. A key that a reader
// doesn't know is left out, so that agent and guard may be of different versions for a while.
//
// The package is linked into skerry-guard: neither fmt nor net comes in through it.
package wire
