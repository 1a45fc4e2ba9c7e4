package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// maxReplyHeader and maxReply bound what a subscriber may answer, in bytes.
	maxReplyHeader, maxReply = 16 << 10, 64 << 10
	// idleConnection is how long a connection to a subscriber is kept without use.
	idleConnection = 10 * time.Minute
)

// dialer connects to a server inside the environment.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// destination is where one subscriber's records go. It is used by one goroutine.
type destination interface {
	// send delivers a batch, or says why not: it may be tried again. It has no limit but ctx.
	send(ctx context.Context, batch [][]byte) error
	close()
}

func newDestination(wanted subscription, dial dialer) destination {
	local := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialLoopback(ctx, dial, wanted.port) }
	if wanted.tcp {
		return &stream{dial: local}
	}
	method := http.MethodPost
	if wanted.put {
		method = http.MethodPut
	}
	return &poster{
		method: method,
		url:    "http://" + wanted.authority + wanted.path,
		transport: &http.Transport{
			DialContext: local, MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: idleConnection,
			MaxResponseHeaderBytes: maxReplyHeader, DisableCompression: true,
		},
	}
}

// dialLoopback reaches a server of which only the port is known.
func dialLoopback(ctx context.Context, dial dialer, port uint16) (net.Conn, error) {
	var failures []error
	for _, ip := range [...]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		conn, err := dial(ctx, "tcp", netip.AddrPortFrom(ip, port).String())
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// poster delivers a batch as a JSON array over HTTP.
type poster struct {
	method, url string
	transport   *http.Transport
}

func (p *poster) send(ctx context.Context, batch [][]byte) error {
	body := make([]byte, 0, sizeOf(batch)+len(batch)+2)
	body = append(body, '[')
	body = append(body, bytes.Join(batch, []byte{','})...)
	body = append(body, ']')
	request, err := http.NewRequestWithContext(ctx, p.method, p.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	// Not a client: it would follow where the subscriber leads.
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxReply) // the connection is used again if that was all
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("telemetry: the subscriber answers %s", response.Status)
	}
	return nil
}

func (p *poster) close() { p.transport.CloseIdleConnections() }

// stream delivers newline-delimited JSON over TCP, where nothing says what has arrived.
type stream struct {
	dial dialer
	conn net.Conn // nil before the first and after a failed delivery
}

func (s *stream) send(ctx context.Context, batch [][]byte) error {
	conn := s.conn
	if conn == nil {
		var err error
		if conn, err = s.dial(ctx, "", ""); err != nil {
			return err
		}
		s.conn = conn
	}
	body := make([]byte, 0, sizeOf(batch)+len(batch))
	for _, record := range batch {
		body = append(append(body, record...), '\n')
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) }) // fails only once closed
	_, err := conn.Write(body)
	if stop(); err != nil {
		s.close()
		return fmt.Errorf("telemetry: %w", err)
	}
	return nil
}

func (s *stream) close() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is lost by it
		s.conn = nil
	}
}

func sizeOf(batch [][]byte) int {
	n := 0
	for _, record := range batch {
		n += len(record)
	}
	return n
}
