package network

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// Whatever a plugin answers, a pod has the address that is in it or none, and the agent goes on.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"0.4.0","ips":[{"version":"4","interface":2,"address":"10.1.2.3/24","gateway":"10.1.2.1"}]}`))
	f.Add([]byte(`{"ips":[]}`))
	f.Add([]byte(`{"code":11,"msg":"no","details":"room"}`))
	f.Add([]byte(`{"ips":[{"address":"fe80::1%eth0/64"}]}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if said := explain(answer, "", errors.New("it failed")); strings.Contains(said, "\n") {
			t.Errorf("%s is told as %q", answer, said)
		}
		ip, err := addressOf(answer)
		if err != nil {
			return
		}
		if _, err := netip.ParseAddr(ip); err != nil {
			t.Errorf("%s gave the address %q", answer, ip)
		}
	})
}
