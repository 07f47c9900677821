package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// start starts a container. Its postStart hook comes after that, see callHook.
func (r *Reconciler) start(ctx context.Context, a pod.Action) (res pod.Result) {
	if len(a.SubPaths) > 0 && r.cfg.Volumes != nil {
		if err := r.cfg.Volumes.Bind(a.PodUID, a.SubPaths); err != nil {
			res.Err = fmt.Errorf("%w: %w", engine.ErrConfig, err)
			return res
		}
	}
	if a.Before.Boot != 0 && r.cfg.Clock().Reached(a.Before) {
		return *givenUp() // it has waited for its turn until its permit was over
	}
	res.Err = r.cfg.Engine.Start(ctx, *a.Spec)
	return res
}

// callHook has the hook called of a container that has just been started; under way, the action is not over yet.
// There is no limit to how long a hook may take, so it must not hold a place that other pods wait for.
func (r *Reconciler) callHook(f *finished) (underWay bool) {
	a, w := f.action, r.doing[f.action.Key()]
	if a.Kind != pod.Start || a.Call == nil || r.cfg.Prober == nil || f.result.Err != nil || w.hooked {
		return false
	}
	if w.cancelled != nil {
		f.result = *givenUp()
		return false
	}
	w.hooked = true
	r.hand(w, LaneHook, func(ctx context.Context) pod.Result { return r.postStart(ctx, a) })
	return true
}

// postStart calls a container's hook. A container whose hook fails is stopped, as the kubelet has it; what follows
// is restartPolicy's to say.
func (r *Reconciler) postStart(ctx context.Context, a pod.Action) (res pod.Result) {
	err := r.cfg.Prober.Call(ctx, a.ID, *a.Call)
	switch {
	case errors.Is(err, context.Canceled):
		res.Err = err // the pod ends: whoever gave this up stops the container
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		res.HookErr = err
		res.Err = r.cfg.Engine.Stop(ctx, a.ID, a.Grace)
	}
	return res
}

// leastGrace is what a container gets to end even if its hook has used up all of the grace, as with the kubelet.
const leastGrace = 2 * time.Second

// stop calls a container's preStop hook, within its grace, and then ends it.
func (r *Reconciler) stop(ctx context.Context, a pod.Action) (res pod.Result) {
	left := func() time.Duration { return max(0, a.Deadline.Since(r.cfg.Clock())) }
	least := time.Duration(0)
	if a.Call != nil && r.cfg.Prober != nil && left() > 0 {
		hook, cancel := context.WithTimeout(ctx, left())
		err := r.cfg.Prober.Call(hook, a.ID, *a.Call)
		cancel()
		if ctx.Err() != nil {
			res.Err = ctx.Err()
			return res
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("it did not end within the grace period")
		}
		if !errors.Is(err, engine.ErrNotFound) { // the container has ended by itself
			res.HookErr = err
		}
		least = leastGrace
	}
	res.Err = r.cfg.Engine.Stop(ctx, a.ID, max(least, left()))
	return res
}
