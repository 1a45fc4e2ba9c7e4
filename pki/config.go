package pki

import (
	"crypto/tls"
	"net"
	"net/netip"
)

// TLSConfig serves TLS 1.2 and newer, HTTP/2 and HTTP/1.1, with certificates of this authority for the names that
// clients ask for. A name that allow refuses, or that is none, ends the handshake with the alert unrecognized_name (RFC
// 6066, section 3). A client that asks for no name, as those do that connect to an address, gets a certificate for the
// address that it reached and for localhost. allow gets names as they were sent, in any case of letters, and must be
// safe for concurrent use.
func (c *CA) TLSConfig(allow func(name string) bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "" {
				return c.Certificate(reached(hello.Conn)...)
			}
			if !hostName(hello.ServerName) || !allow(hello.ServerName) {
				return nil, nil // crypto/tls says then that it does not know the name
			}
			return c.Certificate(hello.ServerName)
		},
	}
}

// reached are the names of this end of a connection.
func reached(connection net.Conn) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if local := localAddress(connection); local.IsValid() {
		names = append(names, local.String())
	}
	return names
}

// localAddress is the address of this end of a connection; not a valid one where it has none.
func localAddress(connection net.Conn) netip.Addr {
	if connection == nil {
		return netip.Addr{}
	}
	local, err := netip.ParseAddrPort(connection.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return local.Addr().Unmap().WithZone("")
}
