package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// connectionsKept is how many idle connections to the server a client keeps: as many as a benchmark has callers.
const connectionsKept = 256

// loopback makes the HTTP client for a server on the same machine.
func loopback() *http.Client {
	return &http.Client{Transport: whole{&http.Transport{
		MaxIdleConnsPerHost: connectionsKept, DisableCompression: true,
	}}}
}

// whole sends request bodies from memory. The SDK closes its own body as soon as an answer begins; a transport that
// still looks for the body's end takes that for a failed write and drops the connection under a long answer. On
// loopback and a busy machine that happens.
type whole struct{ *http.Transport }

// RoundTrip sends a request of which it owns the body.
func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return w.Transport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("client: read the request: %w", err)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	// With this the transport may send again what an idle connection that the server just closed did not take.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return w.Transport.RoundTrip(r)
}
