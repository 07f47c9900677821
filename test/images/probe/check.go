package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// check says whether the container is as asked:
//
//	env KEY VALUE · noenv KEY · dir PATH · host NAME · uid N · gid N · file PATH TEXT (contains) ·
//	nofile PATH · readonly PATH · status KEY VALUE (of /proc/self/status)
func check(args []string) error {
	need := map[string]int{
		"env": 2, "noenv": 1, "dir": 1, "host": 1, "uid": 1, "gid": 1,
		"file": 2, "nofile": 1, "readonly": 1, "status": 2,
	}
	if len(args) == 0 || need[args[0]] == 0 || len(args) != need[args[0]]+1 {
		return fmt.Errorf("check: can't read %q", args)
	}
	kind, want := args[0], args[len(args)-1]
	var got string
	var err error
	switch kind {
	case "env":
		got = os.Getenv(args[1])
	case "noenv":
		value, set := os.LookupEnv(args[1])
		if !set {
			return nil
		}
		return fmt.Errorf("%s is set to %q", args[1], value)
	case "dir":
		got, err = os.Getwd()
	case "host":
		got, err = os.Hostname()
	case "uid":
		got = strconv.Itoa(os.Getuid())
	case "gid":
		got = strconv.Itoa(os.Getgid())
	case "status":
		got, err = status(args[1])
	case "file":
		var text []byte
		if text, err = os.ReadFile(args[1]); err == nil && strings.Contains(string(text), want) {
			return nil
		}
		got = string(text)
	case "nofile":
		if _, err := os.Stat(args[1]); os.IsNotExist(err) {
			return nil
		}
		return fmt.Errorf("%s is there", args[1])
	case "readonly":
		f, err := os.OpenFile(args[1], os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil
		}
		f.Close()
		return fmt.Errorf("%s can be written", args[1])
	}
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s is %q, not %q", kind, got, want)
	}
	return nil
}

// status is one line of /proc/self/status.
func status(key string) (string, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no %s in /proc/self/status", key)
}
