package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 2 * time.Second
	// markerTopic is what we publish to learn that our subscription is in force.
	markerTopic = "/skerry/subscribed"
)

// Run follows containerd's events until ctx ends, across its restarts.
func (e *Engine) Run(ctx context.Context) error {
	ctx = e.in(ctx)
	defer e.reaps.Wait()
	away := false
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		err := e.follow(ctx, func() {
			pause = retryFirst
			if away {
				e.Log.Info().Msg("containerd answers again")
			}
			away = false
		})
		if ctx.Err() != nil {
			return nil
		}
		if !away {
			e.Log.Warn().Err(err).Str("socket", e.Socket).Msg("containerd does not answer; trying again")
		}
		away = true
		e.hints.all()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// follow handles events until the stream ends. ready is called once nothing can be missed any more.
func (e *Engine) follow(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, failed := e.client.Subscribe(ctx,
		fmt.Sprintf(`namespace==%s,topic~="^/tasks/(exit|delete|oom)$"`, e.Namespace),
		fmt.Sprintf(`namespace==%s,topic==%q`, e.Namespace, markerTopic))
	// containerd doesn't say when a subscription begins to count; an event of our own shows it.
	marker := time.NewTimer(0)
	defer marker.Stop()
	begun := false
	for {
		select {
		case <-marker.C:
			if begun {
				continue
			}
			if err := e.client.EventService().Publish(ctx, markerTopic, &emptypb.Empty{}); err != nil {
				return err
			}
			marker.Reset(200 * time.Millisecond)
		case err, ok := <-failed:
			if err == nil || !ok {
				err = errors.New("the event stream ended")
			}
			return err
		case envelope := <-stream:
			if envelope.Topic != markerTopic {
				e.handle(ctx, envelope)
				continue
			}
			if begun {
				continue
			}
			begun = true
			ready()
			e.hints.all()
			e.reaps.Go(func() {
				if err := e.reapAll(ctx); err != nil && ctx.Err() == nil {
					e.Log.Warn().Err(err).Msg("what ended while containerd was away could not be collected")
				}
				e.hints.all()
			})
		}
	}
}

// handle reaps and hints at what an event is about.
func (e *Engine) handle(ctx context.Context, envelope *events.Envelope) {
	event, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		e.hints.all()
		return
	}
	switch event := event.(type) {
	case *apievents.TaskExit:
		if event.ID != event.ContainerID {
			return // a process beside the container's own
		}
		e.reaps.Go(func() { e.ended(ctx, event.ContainerID, &exit{event.ExitStatus, event.ExitedAt.AsTime().UTC()}) })
	case *apievents.TaskDelete:
		if event.ID == "" || event.ID == event.ContainerID {
			e.reaps.Go(func() { e.ended(ctx, event.ContainerID, nil) })
		}
	}
}

// ended hints at a container whose task ended and reaps the task. The hint comes first: List knows already.
func (e *Engine) ended(ctx context.Context, name string, told *exit) {
	c, err := e.client.ContainerService().Get(ctx, name)
	switch {
	case err == nil:
		e.hints.add(idOf(c))
	case !errdefs.IsNotFound(err):
		e.hints.all()
		return // containerd is going away; after the reconnect everything is looked at
	}
	if told == nil {
		return
	}
	if err := e.reap(ctx, name, told); err != nil && ctx.Err() == nil && !errdefs.IsUnavailable(err) {
		e.Log.Warn().Err(err).Str("container", name).Msg("an ended container could not be collected")
	}
}
