package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// podLog is the log subresource of pods: what a container has printed, as its node has it.
func (c *call) podLog() error {
	release, err := c.limits.watch() // a log that is followed lasts as long as a watch
	if err != nil {
		return err
	}
	defer release()
	options, container, err := logOptions(c.query)
	if err != nil {
		return err
	}
	o, err := c.load()
	if err != nil {
		return err
	}
	pod := o.(*corev1.Pod)
	if container, err = containerOf(pod, container); err != nil {
		return err
	}
	if err := mayHaveLog(pod, container, options.Previous); err != nil {
		return err
	}
	if c.Streams == nil {
		return apierrors.NewServiceUnavailable("this master has no connection to its nodes")
	}
	ctx, stop := context.WithCancel(c.ctx) // ends when the client has left
	defer stop()
	go func() {
		select {
		case <-c.ending:
			stop()
		case <-ctx.Done():
		}
	}()
	conn, err := c.Streams.Open(ctx, pod.Spec.NodeName, stream.Open{
		Kind: stream.Logs, Namespace: pod.Namespace, Pod: pod.Name, UID: string(pod.UID), Container: container, Logs: options,
		KeepAlive: uint32(c.StreamKeepAlive / time.Millisecond), Patience: uint32(c.StreamPatience / time.Millisecond),
	})
	if err != nil {
		return streamError(err, pod.Spec.NodeName)
	}
	defer conn.Close(stream.End{})
	return c.copyLog(conn, pod, options.Follow)
}

// copyLog sends the client what the node sends. An error before the first piece is an answer; one after it
// breaks the connection off, so that nobody takes a part for the whole.
func (c *call) copyLog(conn stream.Conn, pod *corev1.Pod, follow bool) error {
	begin := func() { c.w.Header().Set("Content-Type", "text/plain"); c.w.WriteHeader(http.StatusOK) }
	for begun := false; ; begun = true {
		_, data, err := conn.Read()
		ended := errors.Is(err, io.EOF)
		switch {
		case c.ctx.Err() != nil:
			return nil
		case err != nil && !ended && begun:
			panic(brokenAnswer{fmt.Errorf("log of pod %s/%s: %w", pod.Namespace, pod.Name, err)})
		case err != nil && !ended:
			return streamError(err, pod.Spec.NodeName)
		case !begun:
			begin()
		}
		if ended {
			return nil
		}
		if err := writePiece(c.w, data, follow); err != nil {
			return nil // the client has left, or takes nothing any more
		}
	}
}

// writePiece sends one piece of a log, at once when the log is being followed.
func writePiece(w http.ResponseWriter, data []byte, follow bool) error {
	defer hurry(w)()
	_, err := w.Write(data)
	if err == nil && follow {
		err = http.NewResponseController(w).Flush()
	}
	return err
}

// streamError is the answer when a node has refused a stream or could not be reached.
func streamError(err error, node string) error {
	var ended *stream.Error
	if errors.As(err, &ended) {
		switch ended.Code {
		case stream.BadRequest, stream.NotFound:
			return apierrors.NewBadRequest(ended.Text)
		case stream.Busy:
			return apierrors.NewTooManyRequests(ended.Text, retryAfter)
		}
	}
	return apierrors.NewServiceUnavailable(fmt.Sprintf("node %s does not answer: %v", node, err))
}

// logOptions reads the query of pods/log, as PodLogOptions has it.
func logOptions(query url.Values) (*stream.LogOptions, string, error) {
	options := &stream.LogOptions{}
	var errs field.ErrorList
	flag := func(name string, to *bool) {
		if value := query.Get(name); value != "" {
			parsed, err := strconv.ParseBool(value)
			if err != nil {
				errs = append(errs, field.Invalid(field.NewPath(name), value, "must be true or false"))
			}
			*to = parsed
		}
	}
	number := func(name string, least int64) (int64, bool) {
		value := query.Get(name)
		if value == "" {
			return 0, false
		}
		parsed, err := strconv.ParseInt(value, 10, 64)
		if err != nil || parsed < least {
			errs = append(errs, field.Invalid(field.NewPath(name), value, fmt.Sprintf("must be greater than or equal to %d", least)))
		}
		return parsed, true
	}
	flag("follow", &options.Follow)
	flag("previous", &options.Previous)
	flag("timestamps", &options.Timestamps)
	if lines, set := number("tailLines", 0); set {
		options.Tail = &lines
	}
	options.LimitBytes, _ = number("limitBytes", 1)
	options.SinceSeconds, _ = number("sinceSeconds", 1)
	if value := query.Get("sinceTime"); value != "" {
		since, err := time.Parse(time.RFC3339, value)
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(field.NewPath("sinceTime"), value, "must be an RFC 3339 time"))
		case options.SinceSeconds != 0:
			errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
		}
		options.SinceTime = since.UnixNano()
	}
	if value := query.Get("stream"); value != "" && value != corev1.LogStreamAll {
		errs = append(errs, field.NotSupported(field.NewPath("stream"), value, []string{corev1.LogStreamAll}))
	}
	return options, query.Get("container"), invalidOptions("PodLogOptions", errs)
}

// containerOf is the container that is meant: the one named, or the only one. The words are Kubernetes'.
func containerOf(pod *corev1.Pod, name string) (string, error) {
	var names []string
	for _, container := range pod.Spec.Containers {
		if container.Name == name {
			return name, nil
		}
		names = append(names, container.Name)
	}
	for _, container := range pod.Spec.InitContainers {
		if container.Name == name {
			return name, nil
		}
	}
	switch {
	case name != "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	case len(names) == 1:
		return names[0], nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, names))
}

// mayHaveLog says, in Kubernetes' words, why a container can have no log yet.
func mayHaveLog(pod *corev1.Pod, container string, previous bool) error {
	if pod.Spec.NodeName == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	var status corev1.ContainerStatus
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.Name == container {
			status = s
		}
	}
	waiting := status.State.Waiting
	switch {
	case previous && status.LastTerminationState.Terminated == nil:
		return apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod.Name))
	case previous, status.State.Running != nil, status.State.Terminated != nil, status.LastTerminationState.Terminated != nil:
		return nil
	case waiting == nil:
		return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not available", container, pod.Name))
	case waiting.Reason == "ErrImagePull":
		return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: image can't be pulled", container, pod.Name))
	case waiting.Reason == "ImagePullBackOff":
		return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: trying and failing to pull image", container, pod.Name))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", container, pod.Name, waiting.Reason))
}
