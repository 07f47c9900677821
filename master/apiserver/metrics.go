package apiserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/protocol/gate"
)

// metrics count what the API does. The labels have few values: a path never is one.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	running  *prometheus.GaugeVec
}

// newMetrics registers the API's metrics; without a registerer they count for nobody.
func newMetrics(into prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_api_requests_total", Help: "Requests answered, by verb, resource and code.",
		}, []string{"verb", "resource", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "skerry_api_request_seconds", Help: "Time from a request to the end of its answer; without watches.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"verb"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "skerry_api_requests_running", Help: "Requests that are being answered, by verb.",
		}, []string{"verb"}),
	}
	if into == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.running} {
		if err := into.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// watch shows what is at the gate.
func (m *metrics) watch(g *gate.Gate, into prometheus.Registerer) error {
	if into == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_api_connections", Help: "Open connections."},
			func() float64 { open, _ := g.Counts(); return float64(open) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_api_connections_unknown", Help: "Open connections whose clients have not said who they are."},
			func() float64 { _, unknown := g.Counts(); return float64(unknown) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_api_connections_pushed_out_total", Help: "Connections of unknown clients that were closed for newer ones."},
			func() float64 { return float64(g.Pushed()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_api_connections_refused_total", Help: "Connections that found no place."},
			func() float64 { return float64(g.Refused()) }),
	} {
		if err := into.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// begin counts a request; the function returned counts its end.
func (m *metrics) begin(verb, resource string) func(code int) {
	start := time.Now()
	m.running.WithLabelValues(verb).Inc()
	return func(code int) {
		m.running.WithLabelValues(verb).Dec()
		m.requests.WithLabelValues(verb, resource, strconv.Itoa(code)).Inc()
		if verb != verbWatch {
			m.seconds.WithLabelValues(verb).Observe(time.Since(start).Seconds())
		}
	}
}

// recorded is a ResponseWriter that remembers the code of the answer, and tells of it once.
type recorded struct {
	http.ResponseWriter
	code  int
	began func(code int)
}

func (r *recorded) begin(code int) {
	if r.code == 0 {
		r.code = code
		r.began(code)
	}
}

func (r *recorded) WriteHeader(code int) {
	r.begin(code)
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorded) Write(p []byte) (int, error) {
	r.begin(http.StatusOK)
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }
