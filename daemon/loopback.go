package daemon

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"hotaru/gateway"
	"hotaru/names"
	"hotaru/sandbox"
)

// Where an environment finds what the daemon serves it, on a loopback of its own.
const (
	// awsAddress is AWS_ENDPOINT_URL's.
	awsAddress = "127.0.0.1:4566"
	// httpAddress and httpsAddress are where AWS's own names lead.
	httpAddress  = "127.0.0.1:80"
	httpsAddress = "127.0.0.1:443"
	// dnsAddress is what /etc/resolv.conf of every root says.
	dnsAddress = "127.0.0.1:53"
)

// insideConnections is how many connections to the AWS APIs an environment may have: as many as it may have files.
const insideConnections = 1024

// loopback serves environments on their own loopback: the AWS APIs, and names.
type loopback struct {
	aws *http.Server
	// tls is what AWS's names show; nil where they are not answered.
	tls *tls.Config
	// outside answers to the names that are neither AWS's nor the environment's, where that has a way to the outside.
	outside *names.Forwarder
	serving sync.WaitGroup
}

// streams are the addresses of the AWS APIs. On the host's network a name cannot lead anywhere.
func (l *loopback) streams(hostNetwork bool) []string {
	if l.tls == nil || hostNetwork {
		return []string{awsAddress}
	}
	return []string{awsAddress, httpAddress, httpsAddress}
}

// listen says where to listen inside a driver's sandboxes.
func (l *loopback) listen(driver sandbox.Driver) (streams, packets []string) {
	if !enforces(driver, sandbox.BoundaryNetwork) {
		return l.streams(true), nil
	}
	return append(l.streams(false), dnsAddress), []string{dnsAddress}
}

// serve serves a sandbox until it is destroyed, and returns the variables that tell its code where.
func (l *loopback) serve(sb sandbox.Sandbox, egress sandbox.Egress) []string {
	hostNetwork := sb.PacketConn(dnsAddress) == nil
	// What code does with its connections is no news for the daemon's log, which it could fill.
	port := gateway.NewPort(l.tls, gateway.Limits{Connections: insideConnections}, slog.New(slog.DiscardHandler))
	for _, address := range l.streams(hostNetwork) {
		shared := port.Listen(sb.Listener(address))
		l.serving.Go(func() { _ = l.aws.Serve(shared) }) // it ends with the listener, and says just that
	}
	if !hostNetwork {
		zone := &names.Zone{AWS: l.tls != nil, Own: []string{sb.ID(), "sandbox.localdomain", "sandbox"}}
		if egress != sandbox.EgressNone {
			zone.Upstream = l.outside
		}
		l.serving.Go(func() { names.Serve(zone, sb.PacketConn(dnsAddress), sb.Listener(dnsAddress)) })
	}
	return []string{"AWS_ENDPOINT_URL=http://" + sb.Listener(awsAddress).Addr().String()}
}

// servedInside says whether a certificate is shown for a name inside an environment.
func servedInside(name string) bool { return names.IsAWS(name) || strings.EqualFold(name, "localhost") }
