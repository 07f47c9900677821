// Package enginetest is the contract of engine.Engine: Run checks an implementation against everything that
// the agent relies on. The fake and the real engine both pass it.
//
// The suite needs one image that holds the test program as its entrypoint. Its sub-command is Spec.Args:
//
//	sleep [DURATION]        runs for ever, or for so long and exits 0; SIGTERM ends it with code 143
//	exit CODE [DURATION]    exits with CODE, at once or after so long
//	trap CODE [DURATION]    runs until SIGTERM, then exits with CODE, at once or after so long
//	ignore                  runs for ever and ignores SIGTERM
//	eat MIB                 allocates and touches so many MiB, then runs as sleep
//	spin                    keeps one core busy until SIGTERM, then ends as sleep
//	print TEXT…             writes each TEXT as a line to stdout and exits 0
//	check KIND ARG…         exits 0 if it is as said, else writes what it found to stderr and exits 1:
//	                        check env KEY VALUE · check noenv KEY · check dir PATH · check host NAME ·
//	                        check uid N · check file PATH TEXT · check readonly PATH
//
// Durations are as time.ParseDuration reads them. The program is process 1 of its container, for which the
// kernel ignores signals without a handler, so it installs its own. An engine that is a fake understands the
// same words without running anything.
package enginetest
