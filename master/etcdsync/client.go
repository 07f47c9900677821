package etcdsync

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// newClient prepares a client; it connects by itself, when asked something, and again.
func newClient(server Server) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            server.Endpoints,
		TLS:                  server.TLS,
		Username:             server.User,
		Password:             server.Password,
		DialTimeout:          answerLimit,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		BackoffWaitBetween:   100 * time.Millisecond,
		MaxUnaryRetries:      2,
		Logger:               zap.NewNop(), // errors come back from the calls, and are logged once
	})
	if err != nil {
		return nil, explain(err)
	}
	return client, nil
}

// explain says what a person can do about an error of etcd.
func explain(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch unknown := (x509.UnknownAuthorityError{}); {
	case err == nil:
		return nil
	case errors.As(err, &unknown), strings.Contains(text, "certificate signed by unknown authority"):
		return fmt.Errorf("etcd's certificate is of an authority that is not trusted; name it with --etcd-cacert: %w", err)
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return fmt.Errorf("etcd refuses this master's certificate; give it one that etcd trusts with --etcd-cert and --etcd-key: %w", err)
	case strings.Contains(text, "first record does not look like a TLS handshake"), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("etcd speaks without TLS there; write http:// in --etcd, or turn TLS on in etcd: %w", err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd is out of space and takes no writes (alarm NOSPACE); compact and defragment it, then etcdctl alarm disarm: %w", err)
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrInvalidAuthToken):
		return fmt.Errorf("etcd does not accept the user and password of --etcd-user: %w", err)
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("etcd does not let this user read and write under /skerry/; grant it that (etcdctl role grant-permission ROLE --prefix=true readwrite /skerry/): %w", err)
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail), errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost):
		return fmt.Errorf("etcd has no leader: too few of its members can reach each other: %w", err)
	case errors.Is(err, rpctypes.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("etcd does not answer, or too few of its members do: %w", err)
	}
	return err
}

// ask bounds one question to etcd.
func ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, answerLimit)
}
