// Package daemon is what every daemon of Skerry does: read flags and a config file, log, answer for its
// health, tell systemd, end on a signal with the right exit code.
//
//	args + FILE ─► Flags ─► Check ─► Run(ctx, *Daemon) ─► exit code 0 | 1 failure | 2 wrong flags or config
//	                               └► or an errand, as "doctor", if the first argument names one
//
// A setting is declared once and may be given as a flag or as a key of the YAML file; the flag wins. Nothing is
// ignored: an unknown flag or key, a value that does not parse and settings that contradict each other end the
// program before it touches anything, with one line that names the flag, or the file and line. A program's
// main.go holds a Command and nothing else.
package daemon
