package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Descriptors that a shim hands to a logger.
const (
	stdoutFD = 3
	stderrFD = 4
	readyFD  = 5
)

const about = "skerry-log writes a container's output into files; containerd starts it, people don't"

func main() {
	if len(os.Args) == 2 && (os.Args[1] == "--help" || os.Args[1] == "-h" || os.Args[1] == "--version") {
		os.Stdout.WriteString(about + "\n")
		return
	}
	file, err := parse(os.Args[1:])
	if err != nil {
		os.Stderr.WriteString("skerry-log: " + err.Error() + "\n")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	// Only the end of the container's output ends the logger: signals reach it when a service manager stops
	// what runs beside it, while the container may still have something to say.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE)
	_ = file.open() // tried again, and told about, with the first line
	run(file, input(stdoutFD), input(stderrFD), func() { syscall.Close(readyFD) })
}

// input is a stream that waits in the runtime's poller instead of in a thread of its own.
func input(fd int) io.Reader {
	_ = syscall.SetNonblock(fd, true) // else it takes a thread, no more
	return os.NewFile(uintptr(fd), "")
}

// run copies both streams to the file until both have ended.
func run(file *logFile, stdout, stderr io.Reader, ready func()) {
	out := &output{file: file}
	var both sync.WaitGroup
	both.Go(func() { (&stream{name: "stdout"}).copy(stdout, out) })
	both.Go(func() { (&stream{name: "stderr"}).copy(stderr, out) })
	ready()
	both.Wait()
	out.finish()
}

// parse reads the arguments: keys and values in any order.
func parse(args []string) (*logFile, error) {
	f := &logFile{}
	var dir, name string
	var files int64
	for i := 0; i+1 < len(args); i += 2 {
		var err error
		switch value := args[i+1]; args[i] {
		case "dir":
			dir = value
		case "name":
			name = value
		case "bytes":
			f.max, err = strconv.ParseInt(value, 10, 64)
		case "files":
			files, err = strconv.ParseInt(value, 10, 32)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return nil, errors.New("argument " + args[i] + ": " + err.Error())
		}
	}
	if len(args)%2 != 0 || dir == "" || name == "" || strings.Contains(name, "/") {
		return nil, errors.New("expected: dir DIR name NAME bytes N files N")
	}
	f.path = dir + "/" + name
	f.max, f.files = max(f.max, minBytes), int(max(files, 1))
	return f, nil
}
