// Package wholebody lets AWS's Go SDK talk to a server on the same machine. The SDK closes its request's body as soon
// as an answer begins; a transport that still looks for the body's end takes that for a failed write and drops the
// connection under a long answer, which happens on loopback when the machine is busy. It must not know any service.
package wholebody

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Transport sends request bodies from memory, which nobody closes too early.
type Transport struct{ http.RoundTripper }

// RoundTrip sends a request of which it owns the body.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.RoundTripper.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("wholebody: read the request: %w", err)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	// With this the transport may send again what an idle connection that the server just closed did not take.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return t.RoundTripper.RoundTrip(r)
}
