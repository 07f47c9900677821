// Command probe is what the test image runs. Its first argument says what to do:
//
//	sleep [DURATION]        runs for ever, or for so long and exits 0; SIGTERM ends it with code 143
//	exit CODE [DURATION]    exits with CODE, at once or after so long
//	trap CODE [DURATION]    runs until SIGTERM, then exits with CODE, at once or after so long
//	ignore                  runs for ever and ignores SIGTERM
//	eat MIB                 allocates and touches so many MiB, then runs as sleep
//	spin                    keeps one core busy until SIGTERM, then ends as sleep
//	print TEXT…             writes each TEXT as a line to stdout and exits 0
//	lines N [DURATION [stdout]]  writes N numbered lines, every third to stderr (which has no order with the rest) unless told
//	                        otherwise, one each DURATION; 0: for ever
//	cat                     copies stdin to stdout
//	size WxH                exits 0 once its terminal has that size
//	env                     writes its environment and exits 0
//	arch                    writes the architecture that it was built for and exits 0
//	serve ADDR              answers every HTTP request with a greeting that has the host name
//	fetch ADDR              prints what an HTTP server there answers and exits 0
//	heartbeat FILE          appends the time to FILE once a second
//	pulse DIR UID           appends the time of the boot clock to a file of its own in DIR, every 20 ms; see package pulse
//	check KIND ARG…         exits 0 if it is as said, else says what it found and exits 1; see check.go
//
// It is process 1 of its container, for which the kernel ignores signals without a handler, so it installs
// its own. Once that is so its name (/proc/PID/comm) is "ready": a signal before that would be lost.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// readyName is the process's name once signals are handled.
const readyName = "ready"

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"sleep"}
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	_ = os.WriteFile("/proc/self/comm", []byte(readyName), 0) // a test that cares will notice
	if err := run(args[0], args[1:], term); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(verb string, args []string, term <-chan os.Signal) error {
	switch verb {
	case "sleep":
		d, err := duration(args, 0)
		if err != nil {
			return err
		}
		sleep(d, term)
	case "exit", "trap":
		if len(args) == 0 {
			return fmt.Errorf("%s: which code?", verb)
		}
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		d, err := duration(args, 1)
		if err != nil {
			return err
		}
		if verb == "trap" {
			<-term
		}
		time.Sleep(d)
		os.Exit(code)
	case "ignore":
		for range term {
		}
	case "eat":
		if len(args) == 0 {
			return fmt.Errorf("eat: how many MiB?")
		}
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		eaten := eat(n)
		sleep(0, term)
		_ = eaten[len(eaten)-1] // keeps it from being collected
	case "spin":
		go func() {
			for sum := 0; ; sum++ {
				runtime.KeepAlive(sum)
			}
		}()
		sleep(0, term)
	case "print":
		for _, text := range args {
			fmt.Println(text)
		}
	case "lines":
		return lines(args, term)
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "size":
		if len(args) == 0 {
			return fmt.Errorf("size: which?")
		}
		return awaitSize(args[0], term)
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "arch":
		fmt.Println(runtime.GOARCH)
	case "serve":
		if len(args) == 0 {
			return fmt.Errorf("serve: on which address?")
		}
		return serve(args[0], term)
	case "fetch":
		if len(args) == 0 {
			return fmt.Errorf("fetch: from which address?")
		}
		return fetch(args[0])
	case "heartbeat":
		if len(args) == 0 {
			return fmt.Errorf("heartbeat: to which file?")
		}
		return heartbeat(args[0], term)
	case "pulse":
		if len(args) != 2 {
			return fmt.Errorf("pulse: in which directory, and as whom?")
		}
		return pulse(args[0], args[1], term)
	case "check":
		return check(args)
	default:
		return fmt.Errorf("unknown command %q", verb)
	}
	return nil
}

// duration is args[i]; 0 when it isn't there.
func duration(args []string, i int) (time.Duration, error) {
	if len(args) <= i {
		return 0, nil
	}
	return time.ParseDuration(args[i])
}

// sleep waits for so long, for ever when d is 0; SIGTERM ends the process as it would end any other.
func sleep(d time.Duration, term <-chan os.Signal) {
	var done <-chan time.Time
	if d > 0 {
		done = time.After(d)
	}
	select {
	case <-done:
	case <-term:
		os.Exit(128 + int(syscall.SIGTERM))
	}
}

// awaitSize returns once the terminal has the size WIDTHxHEIGHT.
func awaitSize(want string, term <-chan os.Signal) error {
	for {
		var size struct{ rows, columns, x, y uint16 }
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			return errno
		}
		if fmt.Sprintf("%dx%d", size.columns, size.rows) == want {
			return nil
		}
		sleep(10*time.Millisecond, term)
	}
}

func eat(mib int) []byte {
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func lines(args []string, term <-chan os.Signal) error {
	if len(args) == 0 {
		return fmt.Errorf("lines: how many?")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pause, err := duration(args, 1)
	if err != nil {
		return err
	}
	for i := 1; n == 0 || i <= n; i++ {
		out := os.Stdout
		if i%3 == 0 && len(args) < 3 {
			out = os.Stderr
		}
		fmt.Fprintln(out, "line", i)
		if pause > 0 {
			sleep(pause, term)
		}
	}
	return nil
}

func fetch(address string) error {
	const limit = 5 * time.Second
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func serve(address string, term <-chan os.Signal) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	go func() {
		<-term
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go answer(conn, host)
	}
}

// answer is HTTP by hand: package net/http would take so long to initialise that a SIGTERM right after the
// start finds no handler.
func answer(conn net.Conn, host string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	request, err := in.ReadString('\n')
	for line := request; err == nil && strings.TrimSpace(line) != ""; {
		line, err = in.ReadString('\n')
	}
	if words := strings.Fields(request); err == nil && len(words) == 3 {
		text := fmt.Sprintf("hello from %s: %s\n", host, words[1])
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	}
}

func heartbeat(file string, term <-chan os.Signal) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for {
		if _, err := fmt.Fprintln(f, time.Now().UTC().Format(time.RFC3339Nano)); err != nil {
			return err
		}
		sleep(time.Second, term)
	}
}
