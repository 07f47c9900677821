package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Etcd is a real etcd of one member, on loopback.
type Etcd struct {
	URL  string
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

// EtcdEnv names another etcd than the machine's.
const EtcdEnv = "SKERRY_ETCD"

// EtcdProgram is the etcd that tests use. The error of a machine without it wraps exec.ErrNotFound.
func EtcdProgram() (string, error) {
	if program := os.Getenv(EtcdEnv); program != "" {
		return program, nil
	}
	return exec.LookPath("etcd")
}

// StartEtcd starts the program etcd with its data below dir. The error of a machine without it wraps exec.ErrNotFound.
func StartEtcd(dir string) (*Etcd, error) {
	program, err := EtcdProgram()
	if err != nil {
		return nil, err
	}
	peer, client := "http://"+FreeAddress(), "http://"+FreeAddress()
	e := &Etcd{URL: client, args: []string{program, "--name", "m", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "m=" + peer,
		"--listen-client-urls", client, "--advertise-client-urls", client}}
	return e, e.Start()
}

// Start starts it, again too, and waits until it answers.
func (e *Etcd) Start() error {
	e.cmd = exec.Command(e.args[0], e.args[1:]...)
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	e.cmd.Stdout, e.cmd.Stderr = io.Discard, io.Discard
	if err := e.cmd.Start(); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	e.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(e.cmd, e.done)
	_, err := Until("etcd answers", 30*time.Second, func() (bool, string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+"/health", nil)
		if err != nil {
			return false, err.Error()
		}
		answer, err := http.DefaultClient.Do(ask)
		if err != nil {
			return false, err.Error()
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
		return err == nil && strings.Contains(string(text), `"true"`), string(text)
	})
	return err
}

// Kill ends it at once.
func (e *Etcd) Kill() {
	if e.cmd != nil {
		e.cmd.Process.Kill()
		<-e.done
		e.cmd = nil
	}
}

// Has reports whether it has a key.
func (e *Etcd) Has(key string) bool {
	answer, err := e.ask("range", key, "")
	return err == nil && len(answer.Kvs) > 0
}

// Dump is all below a prefix; nothing if etcd does not answer.
func (e *Etcd) Dump(prefix string) map[string][]byte {
	answer, _ := e.ask("range", prefix, end(prefix))
	out := map[string][]byte{}
	for _, kv := range answer.Kvs {
		out[string(kv.Key)] = kv.Value
	}
	return out
}

// Wipe deletes all below a prefix.
func (e *Etcd) Wipe(prefix string) error {
	_, err := e.ask("deleterange", prefix, end(prefix))
	return err
}

// end is behind all that begin with a prefix.
func end(prefix string) string { return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1) }

type etcdAnswer struct {
	Kvs []struct{ Key, Value []byte }
}

// ask uses etcd's HTTP gateway.
func (e *Etcd) ask(what, from, to string) (answer etcdAnswer, err error) {
	question, err := json.Marshal(map[string][]byte{"key": []byte(from), "range_end": []byte(to)})
	if err != nil {
		return answer, err
	}
	reply, err := http.Post(e.URL+"/v3/kv/"+what, "application/json", bytes.NewReader(question))
	if err != nil {
		return answer, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("etcd answers %s", reply.Status)
	}
	return answer, json.NewDecoder(io.LimitReader(reply.Body, 64<<20)).Decode(&answer)
}

// FreeAddress is one of loopback that was free a moment ago.
func FreeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // and etcd says what is wrong
	}
	defer l.Close()
	return l.Addr().String()
}
