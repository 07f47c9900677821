package daemon

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Health collects what the parts of a program say of themselves. /readyz answers 200 when every check is
// content, /healthz when every loop has stepped lately.
type Health struct {
	mu     sync.Mutex
	checks []check
	loops  []*Loop
}

type check struct {
	name  string
	ready func() error
}

// Loop watches one of the program's loops: it notes when the loop last read the clock, which each Step begins
// with.
type Loop struct {
	name  string
	limit time.Duration
	last  atomic.Int64 // boot time of the last reading
}

// Check adds a condition of readiness. ready may be called from any goroutine, answers at once, and its error
// says in one line what is missing and what to do.
func (h *Health) Check(name string, ready func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ready})
}

// Loop adds a loop that must read its clock at least every limit, or the program counts as hung. The returned
// source is the loop's clock.
func (h *Health) Loop(name string, limit time.Duration, source clock.Source) clock.Source {
	loop := &Loop{name: name, limit: limit}
	loop.last.Store(int64(source().Boot))
	h.mu.Lock()
	h.loops = append(h.loops, loop)
	h.mu.Unlock()
	return func() clock.Now {
		now := source()
		loop.last.Store(int64(now.Boot))
		return now
	}
}

// Alive says which loop hangs.
func (h *Health) Alive(now clock.Now) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, loop := range h.loops {
		if silent := now.Boot - time.Duration(loop.last.Load()); silent > loop.limit {
			return fmt.Errorf("%s has not stepped for %s", loop.name, silent.Round(time.Second))
		}
	}
	return nil
}

// Ready is one line a check: "ok NAME" or "not ready NAME: why"; the error is set when any is not.
func (h *Health) Ready() (report string, err error) {
	h.mu.Lock()
	checks := h.checks
	h.mu.Unlock()
	var b strings.Builder
	for _, c := range checks {
		if why := c.ready(); why != nil {
			fmt.Fprintf(&b, "not ready %s: %v\n", c.name, why)
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, why))
			continue
		}
		fmt.Fprintf(&b, "ok %s\n", c.name)
	}
	return b.String(), err
}

// NewRegistry holds the metrics of the process itself; the parts of the program add theirs.
func NewRegistry(program string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "skerry_build_info",
		Help:        "Always 1; the labels say which program of which version this is.",
		ConstLabels: prometheus.Labels{"program": program, "version": Version},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// serveHealth answers on the address of --metrics-listen until stop is called.
func (d *Daemon) serveHealth(address string) (stop func(), err error) {
	listener, err := Listen("metrics-listen", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, "ok\n", d.Health.Alive(Clock()))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		report, err := d.Health.Ready()
		if err != nil {
			err = errors.New(report)
		}
		respond(w, report, err)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener) // ends when the server is closed below
	}()
	d.Log.Info().Str("address", listener.Addr().String()).Msg("health and metrics are served")
	return func() { server.Close(); <-done }, nil
}

func respond(w http.ResponseWriter, text string, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = strings.TrimSpace(err.Error()) + "\n"
	}
	io.WriteString(w, text)
}
