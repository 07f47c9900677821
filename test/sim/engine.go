package sim

import (
	"context"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
)

// Times of work.
const (
	longestQueue = 100 * time.Millisecond // that work waits before it begins
	// allowance is how long after a pod's last listing a start of it, decided before, may still begin.
	allowance = time.Second
)

// executor has work done aside, in virtual time: it begins a little later, does at once what it does, and its end
// comes when it would have.
type executor struct{ a *agent }

// Submit is reconcile.Executor.
func (x executor) Submit(_ reconcile.Lane, work func(context.Context), done func()) func() {
	a, w := x.a, x.a.node.w
	ctx, cancel := context.WithCancel(context.Background())
	over := false
	end := func() {
		if !over && !a.dead {
			over = true
			done()
		}
	}
	a.later(w.between(0, longestQueue), func() {
		if over || a.dead {
			cancel()
			return
		}
		n := a.node
		n.machine.slept = 0
		work(ctx)
		n.counted = false
		n.ticker.wake()
		now := n.machine.now()
		a.later(n.machine.at(now.Add(n.machine.slept))-w.now, end)
	})
	return func() {
		cancel()
		a.later(0, end)
	}
}

// engineOf is the engine as one process of the agent uses it.
type engineOf struct {
	engine.Engine
	a *agent
}

// Start checks that the node was told to run the pod, and that no other attempt of the container runs.
func (e *engineOf) Start(ctx context.Context, spec engine.Spec) error {
	return e.a.touch("start "+spec.ID, func() error {
		n, uid := e.a.node, spec.Labels[engine.LabelPodUID]
		n.w.log(n.who(), "starts %s/%s attempt %s of %s", spec.Labels[engine.LabelPod], spec.Labels[engine.LabelContainer],
			spec.Labels[engine.LabelAttempt], uid)
		if err := e.Engine.Start(ctx, spec); err != nil {
			n.w.log(n.who(), "%v", err)
			return err
		}
		n.w.checkStart(n, spec)
		n.w.checkGuardedStart(n, spec)
		if pod := n.book.listed[uid]; pod != nil && pod.DeletionTimestamp == nil {
			delete(n.book.dropped, uid)
		}
		return nil
	})
}

// Stop checks that nobody wants the pod to go on.
func (e *engineOf) Stop(ctx context.Context, id string, grace time.Duration) error {
	return e.a.touch("stop "+id, func() error {
		e.a.node.w.log(e.a.node.who(), "stops %s within %s", id, grace)
		e.a.node.w.checkStop(e.a.node, id)
		return e.Engine.Stop(ctx, id, grace)
	})
}

// Remove is engine.Engine.
func (e *engineOf) Remove(ctx context.Context, id string) error {
	return e.a.touch("remove "+id, func() error {
		e.a.node.w.log(e.a.node.who(), "removes %s", id)
		return e.Engine.Remove(ctx, id)
	})
}

// Pull is engine.Engine.
func (e *engineOf) Pull(ctx context.Context, image string, always bool, progress func(engine.Progress)) (digest string, err error) {
	err = e.a.touch("pull "+image, func() error {
		digest, err = e.Engine.Pull(ctx, image, always, progress)
		return err
	})
	return digest, err
}
