package containerd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/status"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// translate says which of the engine's errors a failed call is, with the words of containerd behind.
func translate(err error, doing string) error {
	if err == nil {
		return nil
	}
	// Most of the client's errors are containerd's own by now; those of bare calls are gRPC's.
	if _, bare := status.FromError(err); bare {
		err = errgrpc.ToNative(err)
	}
	if errdefs.IsUnavailable(err) {
		return fmt.Errorf("%s: %w: %s", doing, engine.ErrAway, tidy(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// pullError is translate for what a registry said.
func pullError(err error, image string) error {
	doing := "pull " + image
	var answer remoteerrors.ErrUnexpectedStatus
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrWrongArch), errors.Is(err, engine.ErrConfig):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, images.ErrEmptyWalk), strings.Contains(err.Error(), "no match for platform"):
		return fmt.Errorf("%s: %w: %s", doing, engine.ErrWrongArch, hostPlatform())
	case errors.Is(err, docker.ErrInvalidAuthorization),
		errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%s: %w: %s", doing, engine.ErrDenied, tidy(err))
	case errors.As(err, &answer):
		return fmt.Errorf("%s: %s", doing, tidy(err))
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w", doing, engine.ErrNotFound)
	}
	return translate(err, doing)
}

// startError is translate for what the OCI runtime said.
func startError(err error, id string) error {
	doing := "start container " + id
	if away := translate(err, doing); errors.Is(away, engine.ErrAway) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) {
		return away
	}
	text := tidy(err)
	for _, sign := range []string{`exec: "`, "exec format error", "executable file not found", "exec /"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("%s: %w: %s", doing, engine.ErrStart, text)
		}
	}
	return fmt.Errorf("%s: %w: %s", doing, engine.ErrConfig, text)
}

// tidy drops what containerd and runc say before they come to the point, and the ": unknown" after it.
func tidy(err error) string {
	text := err.Error()
	for _, before := range []string{
		"OCI runtime create failed: ", "runc create failed: ", "unable to start container process: ",
		"OCI runtime start failed: ", "runc start failed: ", "error while dialing: ", "Error while dialing: ",
	} {
		if _, after, found := strings.Cut(text, before); found {
			text = after
		}
	}
	return strings.TrimSuffix(strings.TrimRight(text, "\n\" "), ": unknown")
}
