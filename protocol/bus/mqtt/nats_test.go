package mqtt_test

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/skerry-edge/skerry/protocol/seal"
)

// nats is a real nats-server, whose MQTT keeps messages of QoS 1 and what is retained in JetStream.
func nats(t *testing.T) *rig {
	binary := program(t, "nats-server")
	a, certificate := authority(t)
	f := files{t, t.TempDir()}
	chain, key := f.certificate(certificate)
	address, internal := freePort(t), freePort(t)
	_, port, _ := net.SplitHostPort(address)
	config := f.write("nats.conf", fmt.Appendf(nil, `server_name: test
listen: %q
max_payload: 1MB
jetstream {store_dir: %q}
mqtt {port: %s, tls {cert_file: %q, key_file: %q}}
authorization {users = [{user: master, password: "the master's"}, {user: node-1, password: %q}, {user: node-2, password: %q}]}
`, internal, filepath.Join(f.dir, "jetstream"), port, chain, key, password, password))
	r := &rig{url: "mqtts://" + address, pin: seal.HashCA(a.Certificate), user: "master", password: "the master's"}
	r.runs(t, address, filepath.Join(f.dir, "log"), binary, "-c", config)
	return r
}
