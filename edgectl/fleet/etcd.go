package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of one answer.
const (
	answerLimit = 15 * time.Second
	maxAnswer   = 32 << 20
	page        = 100 // keys; fewer where they are large
)

// Config says how to reach etcd.
type Config struct {
	Endpoints      []string    // http:// or https://, alternatives
	TLS            *tls.Config // nil: the system's authorities
	User, Password string      // empty: etcd asks for none
}

// Client asks etcd through its HTTP gateway. It is used by one goroutine.
type Client struct {
	config Config
	http   *http.Client
	token  string // of the user, once it is known
}

// NewClient prepares a client; it connects when it is asked something.
func NewClient(config Config) *Client {
	return &Client{config: config, http: &http.Client{Timeout: answerLimit, Transport: &http.Transport{
		TLSClientConfig: config.TLS, TLSHandshakeTimeout: answerLimit / 2, MaxIdleConnsPerHost: 1,
	}}}
}

// entry is a key with its value.
type entry struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// rangeRequest and rangeAnswer are etcdserverpb.RangeRequest and RangeResponse as the gateway writes them.
type rangeRequest struct {
	Key      []byte `json:"key"`
	RangeEnd []byte `json:"range_end,omitempty"`
	Limit    int    `json:"limit,omitempty"`
	KeysOnly bool   `json:"keys_only,omitempty"`
}

type rangeAnswer struct {
	Kvs  []entry `json:"kvs"`
	More bool    `json:"more"`
}

var errTooLarge = errors.New("etcd's answer is too large")

// after is the first key behind all that begin with a prefix, which ends with no byte 255.
func after(prefix string) string {
	end := []byte(prefix)
	end[len(end)-1]++
	return string(end)
}

// get yields the keys from one up to another, with their values.
func (c *Client) get(ctx context.Context, from, to string, yield func(entry) error) error {
	size := page
	for {
		var answer rangeAnswer
		err := c.ask(ctx, "/v3/kv/range", rangeRequest{Key: []byte(from), RangeEnd: []byte(to), Limit: size}, &answer)
		if errors.Is(err, errTooLarge) && size > 1 {
			size /= 2
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range answer.Kvs {
			if err := yield(e); err != nil {
				return err
			}
		}
		if !answer.More || len(answer.Kvs) == 0 {
			return nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// first is the first key from one up to another; empty: there is none.
func (c *Client) first(ctx context.Context, from, to string) (string, error) {
	var answer rangeAnswer
	err := c.ask(ctx, "/v3/kv/range", rangeRequest{Key: []byte(from), RangeEnd: []byte(to), Limit: 1, KeysOnly: true}, &answer)
	if err != nil || len(answer.Kvs) == 0 {
		return "", err
	}
	return string(answer.Kvs[0].Key), nil
}

// ask sends a question to the members in turn, until one answers.
func (c *Client) ask(ctx context.Context, path string, question, into any) error {
	if c.config.User != "" && c.token == "" {
		if err := c.authenticate(ctx); err != nil {
			return err
		}
	}
	var failed error
	for i, at := range c.config.Endpoints {
		err := c.askOne(ctx, at, path, question, into)
		if refused := new(refusal); err == nil || errors.As(err, &refused) || errors.Is(err, errTooLarge) {
			c.config.Endpoints[0], c.config.Endpoints[i] = at, c.config.Endpoints[0] // it goes on answering
			return err
		}
		failed = errors.Join(failed, fmt.Errorf("etcd at %s: %w", at, err))
	}
	return failed
}

// authenticate gets a token for the user, which lasts for some minutes.
func (c *Client) authenticate(ctx context.Context) error {
	user, password := c.config.User, c.config.Password
	c.config.User = ""
	defer func() { c.config.User = user }()
	var answer struct {
		Token string `json:"token"`
	}
	err := c.ask(ctx, "/v3/auth/authenticate", map[string]string{"name": user, "password": password}, &answer)
	c.token = answer.Token
	return err
}

// refusal is what etcd itself says.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func (c *Client) askOne(ctx context.Context, at, path string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the caller names the URL
		}
		return explain(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("read its answer: %w", err)
	case len(text) > maxAnswer:
		return errTooLarge
	case answer.StatusCode == http.StatusNotFound:
		return errors.New("it has no HTTP gateway there; start etcd with --enable-grpc-gateway, and name its client URL")
	case answer.StatusCode != http.StatusOK:
		return refused(answer.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return errors.New("its answer is none of etcd's; is the URL that of an etcd?")
	}
	return nil
}

// refused finds etcd's words in an answer.
func refused(status string, text []byte) error {
	var said struct{ Error, Message string }
	if json.Unmarshal(text, &said) != nil || said.Message == "" && said.Error == "" {
		return errors.New("it answers " + status)
	}
	if said.Message == "" {
		said.Message = said.Error
	}
	switch said.Message {
	case "etcdserver: user name is empty", "etcdserver: authentication failed, invalid user ID or password":
		return &refusal{"etcd does not accept the user and password of --etcd-user"}
	case "etcdserver: permission denied":
		return &refusal{"etcd does not let this user read under /skerry/; grant it that"}
	}
	if strings.Contains(said.Message, "connection closed") || strings.Contains(said.Message, "connection error") {
		return errors.New("its HTTP gateway can't reach etcd itself: with --client-cert-auth etcd's own certificate must be for clients, too (extended key usage clientAuth): " + said.Message)
	}
	return errors.New(said.Message)
}

// explain says what a person can do about a connection that fails.
func explain(err error) error {
	text := err.Error()
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("its certificate is of an authority that is not trusted; name it with --etcd-cacert: %w", err)
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return fmt.Errorf("it wants another certificate; give one that it trusts with --etcd-cert and --etcd-key: %w", err)
	case strings.Contains(text, "first record does not look like a TLS handshake"), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("it speaks without TLS there; write http:// in --etcd: %w", err)
	}
	return err
}
