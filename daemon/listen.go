package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"hotaru/gateway"
	"hotaru/pki"
)

// openPort makes what lets TLS and plain HTTP share the port: TLS with the certificate from files, if there is one, and
// with the installation's own authority.
func (d *Daemon) openPort() (*gateway.Port, error) {
	secure := d.ca.TLSConfig(d.front.AllowsName)
	certificate, key := d.config.TLSCertificate, d.config.TLSKey
	if (certificate == "") != (key == "") {
		return nil, errors.New("daemon: a TLS certificate and its key come together: give both or none")
	}
	if certificate != "" {
		files, err := pki.OpenFiles(certificate, key, d.logger)
		if err != nil {
			return nil, err
		}
		secure = files.Before(secure)
	}
	return gateway.NewPort(secure, d.config.limits(), d.logger), nil
}

// reachable is an address under which a client of this machine reaches a listener.
func reachable(l net.Listener) string {
	address, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil || !address.Addr().IsUnspecified() {
		return l.Addr().String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port()).String()
}

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
