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
	notes  []note
	loops  []*Loop
}

type check struct {
	name  string
	ready func() error
}

// note is something to know that does not make the program less ready.
type note struct {
	name string
	text func() string
}

// Loop watches one of the program's loops, which reads its clock at the beginning of each Step.
type Loop struct {
	name string
	last atomic.Int64           // boot time of the last reading
	wake atomic.Pointer[func()] // makes the loop step
}

// A loop that waits for something to happen is woken every pulse; one that has not stepped for hang counts as
// hung. A Step may wait for a slow disk.
const (
	pulse = 20 * time.Second
	hang  = 2 * time.Minute
)

// Check adds a condition of readiness. ready may be called from any goroutine, answers at once, and its error
// says in one line what is missing and what to do.
func (h *Health) Check(name string, ready func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ready})
}

// Note adds a line to the report of readiness, "note NAME: text". text may be called from any goroutine and answers at
// once.
func (h *Health) Note(name string, text func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{name, text})
}

// Loop adds a loop. It counts from the call of Started on.
func (h *Health) Loop(name string) *Loop {
	loop := &Loop{name: name}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loops = append(h.loops, loop)
	return loop
}

// Clock is the clock to give to the loop.
func (l *Loop) Clock(source clock.Source) clock.Source {
	return func() clock.Now {
		now := source()
		l.last.Store(int64(now.Boot))
		return now
	}
}

// Started says that the loop is about to run, and how to make it step.
func (l *Loop) Started(now clock.Now, wake func()) {
	l.last.Store(int64(now.Boot))
	l.wake.Store(&wake)
}

// Ended says that the loop runs no more; Started may follow.
func (l *Loop) Ended() { l.wake.Store(nil) }

// pulse wakes the loops until done.
func (h *Health) pulse(done <-chan struct{}) {
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		h.mu.Lock()
		loops := h.loops
		h.mu.Unlock()
		for _, l := range loops {
			if wake := l.wake.Load(); wake != nil {
				(*wake)()
			}
		}
	}
}

// Alive says which loop hangs.
func (h *Health) Alive(now clock.Now) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.loops {
		silent := now.Boot - time.Duration(l.last.Load())
		if l.wake.Load() != nil && silent > hang {
			return fmt.Errorf("%s has not stepped for %s", l.name, silent.Round(time.Second))
		}
	}
	return nil
}

// Ready is one line a check: "ok NAME" or "not ready NAME: why", and one a note; the error is set when any is not.
func (h *Health) Ready() (report string, err error) {
	h.mu.Lock()
	checks, notes := h.checks, h.notes
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
	for _, n := range notes {
		fmt.Fprintf(&b, "note %s: %s\n", n.name, n.text())
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

// serveHealth answers on the address of --metrics-listen until stop is called. It logs nothing: what ends the
// program at its start is one line.
func (d *Daemon) serveHealth(address string) (at string, stop func(), err error) {
	listener, err := Listen("metrics-listen", address)
	if err != nil {
		return "", nil, err
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
	return listener.Addr().String(), func() { server.Close(); <-done }, nil
}

func respond(w http.ResponseWriter, text string, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = strings.TrimSpace(err.Error()) + "\n"
	}
	io.WriteString(w, text)
}
