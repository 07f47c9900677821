package main

import (
	"errors"
	"strings"
)

const usage = `skerry-guard ends the pods of policy stop when their node's permit is over

systemd starts it (skerry-guard.socket); by hand it listens itself, and stays when nothing is armed.

  --socket PATH     where it listens, when systemd doesn't (default /run/skerry/guard.sock)
  --state-dir DIR   where it keeps what is armed; on a tmpfs (default /run/skerry/guard)
  --watchdog PATH   hardware watchdog that restarts the board when a process can be neither killed nor frozen;
                    "" turns that off (default /dev/watchdog)
  --version         print the version
  --help            print this
`

type options struct {
	socket, stateDir, watchdog string
	help, version              bool
}

// parse reads the command line.
func parse(args []string) (options, error) {
	o := options{socket: "/run/skerry/guard.sock", stateDir: "/run/skerry/guard", watchdog: "/dev/watchdog"}
	paths := map[string]*string{"socket": &o.socket, "state-dir": &o.stateDir, "watchdog": &o.watchdog}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if to, ok := paths[name]; ok && strings.HasPrefix(arg, "-") {
			if !given {
				if len(args) == 0 {
					return o, errors.New("--" + name + " needs a path")
				}
				value, args = args[0], args[1:]
			}
			if !strings.HasPrefix(value, "/") && (name != "watchdog" || value != "") {
				return o, errors.New("--" + name + ": expected an absolute path, got \"" + value + "\"")
			}
			*to = value
			continue
		}
		switch arg {
		case "--help", "-help", "-h":
			o.help = true
		case "--version", "-version":
			o.version = true
		default:
			return o, errors.New("unknown argument \"" + arg + "\" (skerry-guard --help lists them)")
		}
	}
	if len(o.socket) > maxSocketPath {
		return o, errors.New("--socket: longer than the kernel allows for a socket")
	}
	return o, nil
}
