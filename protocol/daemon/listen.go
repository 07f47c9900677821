package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen listens on a TCP address that the user gave with a flag; the error says what to do. Connections get no
// TCP keep-alive probes: they would cost a thin link more than the heartbeats do.
func Listen(flag, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--%s %s: the port is in use; stop the process that has it, or choose another address", flag, address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("--%s %s: no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE", flag, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("--%s %s: this machine does not have that address", flag, address)
	}
	return nil, fmt.Errorf("--%s %s: %w", flag, address, err)
}
