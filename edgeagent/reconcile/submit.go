package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// workTimeout bounds work that has no length of its own, as a start.
const workTimeout = 2 * time.Minute

// progressEvery is how often a slow pull is told about.
const progressEvery = 30 * time.Second

// submit hands an action to the executor.
func (r *Reconciler) submit(a pod.Action) {
	if a.Kind == pod.Cancel {
		if w := r.doing[a.Target]; w != nil && w.cancelled == nil {
			w.cancelled = &a
			w.cancel()
		}
		return
	}
	if a.Kind != pod.Probe {
		r.cfg.Log.Info().Str("pod", a.PodUID).Str("action", a.String()).Msg("acting")
	}
	w, subnet := &work{action: a}, r.subnet
	r.doing[a.Key()] = w
	r.hand(w, lane(a.Kind), func(ctx context.Context) pod.Result { return r.carryOut(ctx, a, subnet) })
}

// hand gives an action, or the next part of one, to the executor.
func (r *Reconciler) hand(w *work, lane Lane, part func(context.Context) pod.Result) {
	a, result := w.action, givenUp() // until it is carried out
	w.cancel = r.cfg.Executor.Submit(lane, func(ctx context.Context) {
		*result = part(ctx)
		result.GivenUp = errors.Is(result.Err, context.Canceled)
	}, func() {
		r.mu.Lock()
		r.finished = append(r.finished, finished{action: a, result: *result})
		r.mu.Unlock()
		r.Wake()
	})
}

// givenUp is what becomes of work that is cancelled.
func givenUp() *pod.Result { return &pod.Result{Err: context.Canceled, GivenUp: true} }

func lane(k pod.Kind) Lane {
	switch k {
	case pod.Pull:
		return LanePull
	case pod.Stop:
		return LaneStop
	case pod.Probe:
		return LaneProbe
	}
	return LaneStart
}

// ports are the host's ports of a pod, as the network wants them.
func ports(containers []corev1.ContainerPort) (out []network.Port) {
	for _, p := range containers {
		to := network.Port{Host: p.HostPort, Container: p.ContainerPort, Protocol: strings.ToLower(string(p.Protocol))}
		if to.Protocol == "" {
			to.Protocol = "tcp"
		}
		if p.HostIP != "0.0.0.0" && p.HostIP != "::" {
			to.HostIP = p.HostIP
		}
		out = append(out, to)
	}
	return out
}

// carryOut does one action. It runs on the executor.
func (r *Reconciler) carryOut(ctx context.Context, a pod.Action, subnet netip.Prefix) (res pod.Result) {
	if a.Kind != pod.Pull && a.Kind != pod.Stop && a.Kind != pod.Probe {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, workTimeout)
		defer cancel()
	}
	switch a.Kind {
	case pod.Prepare:
		res.NetPath, res.IP, res.Err = r.cfg.Network.Prepare(ctx, network.Pod{UID: a.PodUID, Host: a.Host, Subnet: subnet, Ports: ports(a.Ports)})
	case pod.Release:
		res.Err = r.cfg.Network.Release(ctx, a.PodUID)
	case pod.Pull:
		res = r.pull(ctx, a)
	case pod.Start:
		res = r.start(ctx, a)
	case pod.Stop:
		res = r.stop(ctx, a)
	case pod.Probe:
		if r.cfg.Prober != nil {
			res.Err = r.cfg.Prober.Call(ctx, a.ID, *a.Call)
		}
	case pod.Mount:
		if r.cfg.Volumes != nil {
			res.Err = r.cfg.Volumes.Mount(ctx, a.PodUID, a.Volumes)
		}
	case pod.Unmount:
		if r.cfg.Volumes != nil {
			res.Err = r.cfg.Volumes.Unmount(ctx, a.PodUID)
		}
	case pod.Remove:
		if res.Err = r.cfg.Engine.Remove(ctx, a.ID); res.Err == nil && r.cfg.Logs != nil {
			res.Err = r.cfg.Logs.RemoveAttempt(a.PodUID, a.Container, a.Attempt)
		}
	case pod.RemoveLogs:
		if r.cfg.Logs != nil {
			res.Err = r.cfg.Logs.RemovePod(a.PodUID)
		}
	}
	return res
}

// pull makes an image present. When the registry should be asked for the newest but does not answer, what is
// present is good enough: a node that is cut off runs what it has.
func (r *Reconciler) pull(ctx context.Context, a pod.Action) pod.Result {
	var mu sync.Mutex // progress may come from another goroutine
	var asked bool
	told := r.cfg.Clock()
	tell := func(text string) {
		r.note(a.PodUID, pod.Event{Container: a.Container, Reason: "Pulling", Message: text})
	}
	progress := func(p engine.Progress) {
		mu.Lock()
		defer mu.Unlock()
		now := r.cfg.Clock()
		switch {
		case !asked:
			asked, told = true, now
			tell(fmt.Sprintf("Pulling image %q", a.Image))
		case now.Since(told) >= progressEvery && p.Total > 0:
			told = now
			tell(fmt.Sprintf("Pulling image %q: %s, %d %% of %d MiB", a.Image, p.Status, p.Done*100/p.Total, p.Total>>20))
		}
	}
	digest, err := r.cfg.Engine.Pull(ctx, a.Image, a.Always, progress)
	mu.Lock()
	pulled := asked && err == nil
	mu.Unlock()
	if err != nil && a.Always && ctx.Err() == nil && !final(err) {
		if present, fallback := r.present(ctx, a.Image); fallback {
			r.cfg.Log.Warn().Err(err).Str("image", a.Image).Msg("the registry could not be asked; using the image that is present")
			return pod.Result{Digest: present}
		}
	}
	return pod.Result{Digest: digest, Pulled: pulled, Err: err}
}

// final reports whether a registry, or the engine, has answered so that asking otherwise is no use.
func final(err error) bool {
	for _, e := range []error{engine.ErrNotFound, engine.ErrDenied, engine.ErrWrongArch, engine.ErrConfig, engine.ErrAway} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// present is the digest of an image that needs no pull.
func (r *Reconciler) present(ctx context.Context, image string) (digest string, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	digest, err := r.cfg.Engine.Pull(ctx, image, false, func(engine.Progress) { cancel() }) // it asks the registry: not present
	return digest, err == nil
}
