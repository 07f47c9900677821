package daemon

import (
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// startNotify keeps the loops stepping and connects the program with systemd, if that started it: d.Ready says
// READY=1, the watchdog is petted while every loop steps, and stop says STOPPING=1.
func (d *Daemon) startNotify() (stop func()) {
	d.notify = func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			d.Log.Warn().Err(err).Msg("systemd can't be told the state")
		}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { d.Health.pulse(done) })
	running.Go(func() {
		interval, err := daemon.SdWatchdogEnabled(false)
		if err != nil || interval == 0 {
			return
		}
		ticker := time.NewTicker(interval / 3)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if err := d.Health.Alive(Clock()); err != nil {
				d.Log.Error().Err(err).Msg("the watchdog is not petted")
				continue
			}
			d.notify("WATCHDOG=1")
		}
	})
	return func() {
		d.notify("STOPPING=1")
		close(done)
		running.Wait()
	}
}
