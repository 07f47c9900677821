package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config says where the lines go.
type Config struct {
	Path     string // of the file, mode 0600
	MaxBytes int64  // of each file; 0 means DefaultMaxBytes
	Keep     int    // older files that are kept; 0 means DefaultKeep
	Clock    clock.Source
	Log      zerolog.Logger
	Metrics  prometheus.Registerer // nil: no metrics
}

// Defaults of Config.
const (
	DefaultMaxBytes = 5 << 20
	DefaultKeep     = 4
)

// Why lines are lost.
const (
	lostToQueue = "queue" // they came faster than they could be written
	lostToDisk  = "disk"
)

const (
	maxQueue = 1024     // entries
	maxBatch = 64 << 10 // bytes written at once, about
)

// Log takes entries. A nil Log takes none.
type Log struct {
	config  Config
	file    file
	queue   chan Entry
	written prometheus.Counter
	lost    *prometheus.CounterVec
	failing bool // of Run's

	mu      sync.Mutex
	repeats repeats
}

// New opens the file. When the disk is full it is opened once there is room.
func New(c Config) (*Log, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	l := &Log{
		config:  c,
		file:    file{path: c.Path, max: c.MaxBytes, keep: c.Keep},
		queue:   make(chan Entry, maxQueue),
		repeats: repeats{seen: map[string]*repeat{}},
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "skerry_audit_lines_total", Help: "Lines written to the audit log."}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "skerry_audit_lost_total",
			Help: "Lines that the audit log lacks, by why: the disk took none, or they came too fast."}, []string{"why"}),
	}
	for _, why := range []string{lostToQueue, lostToDisk} { // so that they are there, as 0, before it happens
		l.lost.WithLabelValues(why)
	}
	if c.Metrics != nil {
		for _, m := range []prometheus.Collector{l.written, l.lost} {
			if err := c.Metrics.Register(m); err != nil {
				return nil, fmt.Errorf("register the audit log's metrics: %w", err)
			}
		}
	}
	if err := l.file.ready(0); err != nil && !ballast.IsFull(err) {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return l, nil
}

// Record notes what was done. It never blocks.
func (l *Log) Record(e Entry) {
	if l == nil {
		return
	}
	if e.Often {
		l.mu.Lock()
		due, left := l.repeats.admit(e.same(), l.config.Clock())
		l.mu.Unlock()
		if !due {
			return
		}
		e.Repeated = left
	}
	select {
	case l.queue <- e:
	default:
		l.lost.WithLabelValues(lostToQueue).Inc()
	}
}

// Run writes what is recorded until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case e := <-l.queue:
			l.write(e)
		case <-ctx.Done():
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			if l.file.open == nil {
				return nil
			}
			if err := errors.Join(l.file.open.Sync(), l.file.close()); err != nil {
				l.config.Log.Warn().Err(err).Msg("the end of the audit log may be lost")
			}
			return nil
		}
	}
}

// write writes an entry and those that wait behind it.
func (l *Log) write(e Entry) {
	var batch []byte
	lines := 0
	for {
		line, err := e.line()
		if err != nil { // which nothing in an Entry can cause
			l.config.Log.Error().Err(err).Msg("an entry of the audit log does not encode")
		} else {
			batch = append(batch, line...)
			lines++
		}
		if len(batch) >= maxBatch || len(l.queue) == 0 {
			break
		}
		e = <-l.queue
	}
	err := l.file.write(batch)
	switch {
	case err == nil:
		l.written.Add(float64(lines))
		if l.failing {
			l.config.Log.Info().Msg("the audit log is written again")
		}
	default:
		l.lost.WithLabelValues(lostToDisk).Add(float64(lines))
		if !l.failing {
			l.config.Log.Error().Err(err).Msg("the audit log can't be written; the API goes on, and lines are lost until there is room")
		}
	}
	l.failing = err != nil
}
