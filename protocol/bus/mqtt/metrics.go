package mqtt

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type counter struct{ n atomic.Uint64 }

func (c *counter) add(n uint64) { c.n.Add(n) }

// register offers the bus's counters to Prometheus.
func (b *Bus) register(registry prometheus.Registerer) error {
	if registry == nil {
		return nil
	}
	count := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_bus_" + name + "_total", Help: help}, read)
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_bus_connected", Help: "1 while there is a connection to a broker."},
			func() float64 {
				if _, up := b.Connection(); up {
					return 1
				}
				return 0
			}),
		count("connections", "Connections to a broker, attempts that got as far as MQTT included.", func() float64 {
			n, _ := b.Connection()
			return float64(n)
		}),
		count("messages_received", "Messages that arrived.", func() float64 { return float64(b.received.n.Load()) }),
		count("messages_sent", "Messages handed to the connection.", func() float64 { return float64(b.sent.n.Load()) }),
		count("messages_lost", "Messages dropped because there was no connection.", func() float64 { return float64(b.lost.n.Load()) }),
		count("messages_oversized", "Messages refused because they were too large.", func() float64 { return float64(b.oversized.n.Load()) }),
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register the bus's metrics: %w", err)
		}
	}
	return nil
}
