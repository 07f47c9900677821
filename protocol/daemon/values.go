package daemon

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The constructors below declare the usual sorts of settings. The destination holds the parsed value once
// Command.Check and Command.Run are called.

// String declares a setting that takes any text that check accepts; a nil check accepts all.
func (f *Flags) String(to *string, check func(string) error, flag Flag) {
	flag.Set = func(values []string) error {
		*to = values[0]
		if check == nil {
			return nil
		}
		return check(values[0])
	}
	f.Add(flag)
}

// List declares a comma-separated list whose every item check accepts.
func (f *Flags) List(to *[]string, check func(string) error, flag Flag) {
	flag.Many = true
	flag.Set = func(values []string) error {
		*to = values
		for _, v := range values {
			if check == nil {
				break
			}
			if err := check(v); err != nil {
				return err
			}
		}
		return nil
	}
	f.Add(flag)
}

// Pairs declares a list of key=value; in YAML it may be a mapping.
func (f *Flags) Pairs(to *map[string]string, check func(key, value string) error, flag Flag) {
	flag.Many = true
	flag.Set = func(values []string) error {
		*to = map[string]string{}
		for _, v := range values {
			key, value, ok := strings.Cut(v, "=")
			if !ok {
				return fmt.Errorf("%q is not of the form key=value", v)
			}
			if _, twice := (*to)[key]; twice {
				return fmt.Errorf("%q is given twice, give it once", key)
			}
			if err := check(key, value); err != nil {
				return err
			}
			(*to)[key] = value
		}
		return nil
	}
	f.Add(flag)
}

// Duration declares a duration of at least least.
func (f *Flags) Duration(to *time.Duration, least time.Duration, flag Flag) {
	flag.Set = func(values []string) error {
		d, err := time.ParseDuration(values[0])
		if err != nil {
			return fmt.Errorf("%q is no duration; write it as 10s, 1m30s or 500ms", values[0])
		}
		if d < least {
			return fmt.Errorf("%s is too short, it must be at least %s", values[0], least)
		}
		*to = d
		return nil
	}
	f.Add(flag)
}

// CheckAddress says why text is no host:port to listen on. Empty is one: it turns a listener off.
func CheckAddress(text string) error {
	if text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address to listen on; write HOST:PORT, :PORT or [IPV6]:PORT", text)
	}
	return nil
}
