package server

import (
	"strings"
	"testing"
)

// A range of pods' addresses that can't work is refused in words that say what can.
func TestPodCIDR(t *testing.T) {
	for text, want := range map[string]string{
		"10.32.0.0/11":   "",
		"100.64.0.0/10":  "",
		"192.168.0.0/24": "",
		"10.0.0.0/8":     "",
		"":               "write it as 10.32.0.0/11",
		"10.32.0.0":      "write it as 10.32.0.0/11",
		"ten/8":          "write it as 10.32.0.0/11",
		"fd00::/64":      "is not IPv4",
		"10.32.0.0/25":   "too small: each node gets a /24",
		"10.0.0.0/7":     "too big; at most a /8",
		"10.32.1.0/11":   "write 10.32.0.0/11",
		"8.8.0.0/16":     "not of private addresses; choose from 10.0.0.0/8",
		"127.0.0.0/8":    "not of private addresses",
	} {
		cidr, err := parsePodCIDR(text)
		switch {
		case want == "" && (err != nil || cidr.String() != text):
			t.Errorf("%q becomes %s, %v", text, cidr, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v; want in it: %s", text, err, want)
		}
	}
}
