package mqtt_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/skerry-edge/skerry/protocol/seal"
)

// nats is a real nats-server, whose MQTT keeps messages of QoS 1 and what is retained in JetStream.
func nats(t *testing.T) *rig {
	binary, err := exec.LookPath("nats-server")
	if err != nil {
		if binary = "/usr/sbin/nats-server"; !exists(binary) {
			t.Skip("nats-server is not installed (apt-get install nats-server)")
		}
	}
	a, certificate := authority(t)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range certificate.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	address, internal := freePort(t), freePort(t)
	_, port, _ := net.SplitHostPort(address)
	config := write("nats.conf", fmt.Appendf(nil, `server_name: test
listen: %q
max_payload: 1MB
jetstream {store_dir: %q}
mqtt {port: %s, tls {cert_file: %q, key_file: %q}}
authorization {users = [{user: master, password: "the master's"}, {user: node-1, password: %q}, {user: node-2, password: %q}]}
`, internal, filepath.Join(dir, "jetstream"), port, write("chain.pem", chain),
		write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), password, password))
	r := &rig{url: "mqtts://" + address, pin: seal.HashCA(a.Certificate), user: "master", password: "the master's"}
	r.start = func() {
		listenAgain(t, address).Close()
		cmd := exec.Command(binary, "-c", config)
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.stop = func() {
			cmd.Process.Kill()
			cmd.Wait()
			log.Close()
			r.stop = func() {}
		}
		eventually(t, "nats-server listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}
