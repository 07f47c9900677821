package usage

import (
	"context"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// Window is the time between the two readings: five of the periods in which Linux grants processor time.
const Window = 500 * time.Millisecond

// Serve answers one stream of kind usage.
func Serve(ctx context.Context, e engine.Engine, open stream.Open, conn stream.Conn) {
	conn.Close(serve(ctx, e, open, conn, wait))
}

// serve measures; wait lets the time between the readings pass and reports false when it was cut short.
func serve(ctx context.Context, e engine.Engine, open stream.Open, conn stream.Conn,
	wait func(context.Context, stream.Conn) bool) stream.End {
	first, err := e.Usage(ctx)
	if err != nil {
		return stream.End{Error: err.Error(), Code: stream.BadRequest}
	}
	if !wait(ctx, conn) {
		return stream.End{Error: "the measurement was broken off"}
	}
	second, err := e.Usage(ctx)
	if err != nil {
		return stream.End{Error: err.Error(), Code: stream.BadRequest}
	}
	if err := conn.Write(stream.Out, stream.EncodeUsage(report(first, second, open.UID))); err != nil {
		return stream.End{Error: err.Error()}
	}
	return stream.End{}
}

// wait lasts a Window; it reports false when nobody waits for the answer any more.
func wait(ctx context.Context, conn stream.Conn) bool {
	timer := time.NewTimer(Window)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-conn.Done():
	case <-ctx.Done():
	}
	return false
}

// report is what was used between two readings, by the containers of one pod or, with no uid, of all.
func report(first, second []engine.Usage, uid string) stream.UsageReport {
	before := make(map[string]engine.Usage, len(first))
	for _, u := range first {
		before[u.ID] = u
	}
	var out stream.UsageReport
	var longest time.Duration
	for _, u := range second {
		was, ran := before[u.ID]
		window := u.At.Sub(was.At)
		if !ran || window <= 0 || uid != "" && u.Labels[engine.LabelPodUID] != uid {
			continue
		}
		longest = max(longest, window)
		out.Containers = append(out.Containers, stream.ContainerUsage{
			UID: u.Labels[engine.LabelPodUID], Container: u.Labels[engine.LabelContainer],
			CPUNano:     uint64(float64(max(u.CPU-was.CPU, 0)) / float64(window) * 1e9),
			MemoryBytes: uint64(max(u.Memory, 0)),
		})
	}
	out.WindowMilli = uint32(longest.Milliseconds())
	return out
}
