package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/protocol/stream"
)

// Reasons and causes that clients look for when a command has ended, as Kubernetes' remotecommand has them.
const (
	reasonNonZeroExitCode = "NonZeroExitCode"
	causeExitCode         = "ExitCode"
)

// podExec is the exec subresource of pods: one more process in a container. podAttach is attach: what a container
// prints from now on.
func (c *call) podExec() error   { return c.remote(stream.Exec) }
func (c *call) podAttach() error { return c.remote(stream.Attach) }

func (c *call) remote(kind stream.Kind) error {
	release, err := c.limits.watch()
	if err != nil {
		return err
	}
	defer release()
	options, err := execOptions(c.query, kind)
	if err != nil {
		return err
	}
	pod, err := c.podWithNode()
	if err != nil {
		return err
	}
	container, err := containerOf(pod, c.query.Get("container"))
	if err != nil {
		return err
	}
	ctx, stop := c.untilEnding()
	defer stop()
	// The stream is opened before the connection is taken over: a node that can't be reached is an answer.
	conn, err := c.openStream(ctx, pod, stream.Open{Kind: kind, Container: container, Exec: options})
	if err != nil {
		return err
	}
	defer conn.Close(stream.End{})
	user, err := c.takeOver(options)
	if err != nil {
		return err
	}
	defer user.close()
	c.log.Info().Str("user", c.user.name).Str("pod", pod.Namespace+"/"+pod.Name).Str("container", container).
		Str("node", pod.Spec.NodeName).Str("kind", string(kind)).Msg("session begins")
	go func() {
		err := user.receive(conn)
		if err != nil {
			stop() // the user has left
		}
	}()
	go func() {
		<-ctx.Done()
		conn.Close(stream.End{}) // frees the loop below
	}()
	for {
		channel, data, err := conn.Read()
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			_ = user.finish(execStatus(err, pod.Spec.NodeName))
			return nil
		case len(data) == 0:
		default:
			if user.send(channel, data) != nil {
				return nil
			}
		}
	}
}

// client is the user's end of exec and attach, whatever protocol it speaks.
type client interface {
	// receive sends on what the user sends, and returns nil when no more can come, or an error when the user
	// has left.
	receive(to stream.Conn) error
	send(channel byte, data []byte) error
	// finish says how it ended and ends what send has sent.
	finish(status *metav1.Status) error
	close()
}

// podWithNode is the pod that the path names, if it may have sessions.
func (c *call) podWithNode() (*corev1.Pod, error) {
	o, err := c.load()
	if err != nil {
		return nil, err
	}
	pod := o.(*corev1.Pod)
	switch {
	case pod.Spec.NodeName == "":
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot exec into a container in a completed pod; current phase is %s", pod.Status.Phase))
	case c.Streams == nil:
		return nil, apierrors.NewServiceUnavailable("this master has no connection to its nodes")
	}
	return pod, nil
}

// untilEnding is the request's context, which also ends with the server.
func (c *call) untilEnding() (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(c.ctx)
	go func() {
		select {
		case <-c.ending:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// openStream opens a stream to the pod's node; the rest of open says what for.
func (c *call) openStream(ctx context.Context, pod *corev1.Pod, open stream.Open) (stream.Conn, error) {
	open.Namespace, open.Pod, open.UID = pod.Namespace, pod.Name, string(pod.UID)
	open.KeepAlive, open.Patience = uint32(c.StreamKeepAlive/time.Millisecond), uint32(c.StreamPatience/time.Millisecond)
	conn, err := c.Streams.Open(ctx, pod.Spec.NodeName, open)
	if err != nil {
		return nil, streamError(err, pod.Spec.NodeName)
	}
	return conn, nil
}

// execOptions read the query, as PodExecOptions and PodAttachOptions have it. The words are Kubernetes'.
func execOptions(query url.Values, kind stream.Kind) (*stream.ExecOptions, error) {
	options := &stream.ExecOptions{Command: query["command"]}
	for name, to := range map[string]*bool{
		"stdin": &options.Stdin, "stdout": &options.Stdout, "stderr": &options.Stderr, "tty": &options.TTY,
	} {
		if value := query.Get(name); value != "" {
			set, err := strconv.ParseBool(value)
			if err != nil {
				return nil, apierrors.NewBadRequest(fmt.Sprintf("%s: %q: must be true or false", name, value))
			}
			*to = set
		}
	}
	switch {
	case kind == stream.Exec && len(options.Command) == 0:
		return nil, apierrors.NewBadRequest("you must specify at least one command for the container")
	case kind == stream.Attach && options.Stdin:
		return nil, apierrors.NewBadRequest("containers have no stdin to attach to; leave out stdin, or use exec")
	case !options.Stdin && !options.Stdout && !options.Stderr:
		return nil, apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr")
	case options.TTY:
		options.Stderr = false // a terminal has one output
	}
	return options, nil
}

// execStatus is what the user is told at the end.
func execStatus(err error, node string) *metav1.Status {
	var ended *stream.Error
	switch {
	case isEOF(err):
		return &metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &ended) && ended.Code == stream.Exited:
		return &metav1.Status{
			Status: metav1.StatusFailure, Reason: reasonNonZeroExitCode,
			Message: fmt.Sprintf("command terminated with non-zero exit code: %d", ended.Exit),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: causeExitCode, Message: strconv.Itoa(ended.Exit)}}},
		}
	case errors.As(err, &ended):
		status := apierrors.NewInternalError(fmt.Errorf("error executing command in container: %s", ended.Text)).Status()
		return &status
	}
	status := apierrors.NewServiceUnavailable(fmt.Sprintf("node %s does not answer: %v", node, err)).Status()
	return &status
}

// terminalSize is how clients write the size of their window.
type terminalSize struct{ Width, Height uint16 }

// resized sends on a new size.
func resized(to stream.Conn, size terminalSize) error {
	return to.Write(stream.Resize, stream.EncodeSize(size.Width, size.Height))
}

// encodeStatus is the status as version 4 and 5 of the protocol have it.
func encodeStatus(status *metav1.Status) []byte {
	data, err := json.Marshal(status)
	if err != nil {
		return []byte(`{"status":"Failure"}`) // it can't happen
	}
	return data
}
