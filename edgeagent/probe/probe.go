package probe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// maxOutput is how much of what a container answers is kept; an event holds no more.
const maxOutput = 1024

// Prober makes calls. It may be used by several goroutines.
type Prober struct {
	Engine engine.Engine
}

// Call makes one call of a container; nil means that it is well. An error is for the user. When ctx is cancelled
// it is the context's.
func (p Prober) Call(ctx context.Context, id string, c pod.Call) error {
	parent := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	var err error
	switch {
	case c.Sleep != nil:
		timer := time.NewTimer(*c.Sleep)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	case c.Exec != nil:
		err = p.exec(ctx, id, c)
	case c.HTTP != nil:
		err = get(ctx, c)
	case c.TCP != nil:
		err = connect(ctx, c)
	}
	if errors.Is(parent.Err(), context.Canceled) {
		return parent.Err()
	}
	return err
}

func (p Prober) exec(ctx context.Context, id string, c pod.Call) error {
	var out output
	code, err := p.Engine.Exec(ctx, id, engine.Exec{Command: c.Exec, Stdout: &out, Stderr: &out})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && c.Timeout > 0:
		return fmt.Errorf("command timed out: %q timed out after %s", strings.Join(c.Exec, " "), c.Timeout)
	case err != nil:
		return err
	case code != 0:
		return errors.New(cmp.Or(out.text(), fmt.Sprintf("command %q exited with %d", strings.Join(c.Exec, " "), code)))
	}
	return nil
}

// output keeps the beginning of what is written.
type output struct {
	mu   sync.Mutex // both outputs of a process end here
	kept bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept.Write(data[:min(len(data), max(0, maxOutput-o.kept.Len()))])
	return len(data), nil
}

func (o *output) text() string { return strings.TrimSpace(strings.ToValidUTF8(o.kept.String(), "")) }

func connect(ctx context.Context, c pod.Call) error {
	if c.TCP.Port.IntVal == 0 {
		return errors.New("the container has no port of that name")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(cmp.Or(c.TCP.Host, c.Host), c.TCP.Port.String()))
	if err != nil {
		return err
	}
	return conn.Close()
}

func get(ctx context.Context, c pod.Call) error {
	h := c.HTTP
	if h.Port.IntVal == 0 {
		return errors.New("the container has no port of that name")
	}
	target, err := url.Parse(h.Path)
	if err != nil {
		target = &url.URL{Path: h.Path}
	}
	target.Scheme = strings.ToLower(cmp.Or(string(h.Scheme), string(corev1.URISchemeHTTP)))
	target.Host = net.JoinHostPort(cmp.Or(h.Host, c.Host), strconv.Itoa(int(h.Port.IntVal)))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "skerry-probe")
	request.Header.Set("Accept", "*/*")
	for _, header := range h.HTTPHeaders {
		if strings.EqualFold(header.Name, "Host") {
			request.Host = header.Value
			continue
		}
		request.Header.Set(header.Name, header.Value)
	}
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			// A container answers for itself; who it is doesn't matter, as with the kubelet.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != target.Hostname() || len(via) >= 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 10<<10))
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}
