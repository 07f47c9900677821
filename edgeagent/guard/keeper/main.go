package main

import (
	"runtime"
	"strings"
	"syscall"
)

// version is set by the linker (-X main.version=v1.2.3).
var version = "dev"

// Exit codes, as the other daemons have them.
const (
	exitClean   = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { syscall.Exit(run()) }

func run() int {
	runtime.GOMAXPROCS(1)
	args, err := arguments()
	if err != nil {
		return say(2, "error: "+err.Error()+"\n", exitFailure)
	}
	o, err := parse(args)
	switch {
	case err != nil:
		return say(2, "error: "+err.Error()+"\n", exitUsage)
	case o.help:
		return say(1, usage, exitClean)
	case o.version:
		return say(1, "skerry-guard "+version+"\n", exitClean)
	}
	log := &logger{fd: 2}
	if err := serve(o, log); err != nil {
		log.line("error", err.Error(), "", 0)
		return exitFailure
	}
	return exitClean
}

func say(fd int, text string, code int) int {
	_ = write(fd, []byte(text)) // there is nobody to tell
	return code
}

// arguments are those of the command line, which package os would have.
func arguments() ([]string, error) {
	text, err := readSmall("/proc/self/cmdline", 16<<10)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")[1:], nil
}

// serve guards for as long as it lives or, started by systemd, until nothing is armed.
func serve(o options, log *logger) error {
	if err := makeDir(o.stateDir, 0o700); err != nil {
		return err
	}
	bootID, err := readBootID()
	if err != nil {
		return err
	}
	file := stateFile{dir: o.stateDir, bootID: bootID}
	if err := file.lock(); err != nil {
		return err
	}
	listener, activated, err := listen(o.socket)
	if err != nil {
		return err
	}
	k := &keeper{find: findHierarchies, kill: kill, file: file, watchdog: newWatchdog(o.watchdog), log: log}
	if err := k.load(); err != nil {
		return err
	}
	l, err := newLoop(k, listener, activated, log)
	if err != nil {
		return err
	}
	if err := stayInMemory(); err != nil {
		log.line("warn", "memory is not locked: "+err.Error(), "", 0)
	}
	return l.run()
}

func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
