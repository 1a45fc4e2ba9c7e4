package daemon

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens the listeners of an address. "localhost" is both loopback addresses, because a name under
// .localhost may resolve to either; a host without IPv6 has the first alone.
func listen(address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("daemon: listen address: %w", err)
	}
	if host != "localhost" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("daemon: %w", err)
		}
		return []net.Listener{l}, nil
	}
	for range attempts {
		v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, fmt.Errorf("daemon: %w", err)
		}
		_, taken, err := net.SplitHostPort(v4.Addr().String())
		if err != nil {
			return nil, errors.Join(err, v4.Close())
		}
		v6, err := net.Listen("tcp6", net.JoinHostPort("::1", taken))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, nil
		case errors.Is(err, syscall.EADDRINUSE) && port == "0":
			_ = v4.Close() // free on IPv4 alone: try another
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, errors.Join(fmt.Errorf("daemon: %w", err), v4.Close())
		default:
			return []net.Listener{v4}, nil
		}
	}
	return nil, errors.New("daemon: no port is free on both 127.0.0.1 and ::1")
}

// attempts to find a port that is free on both loopback addresses.
const attempts = 20
