// Package load invokes a function over and over, through any endpoint that speaks Lambda's Invoke, and says how long
// that took. It is a client like any other, but one that takes as little time as it can itself: a connection of its own
// for each client, requests that are signed before the clock starts, and no goroutine between. It must not know who
// answers.
package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Target is a function at an endpoint.
type Target struct {
	// URL is the endpoint: "http://127.0.0.1:4566", or with https, whose certificate the machine must trust.
	URL string
	// Function is a name or an ARN.
	Function string
	Payload  []byte
	// Credentials sign the requests for Region. Without an access key they are not signed, as the Runtime Interface
	// Emulator wants it.
	Credentials aws.Credentials
	Region      string
}

// FunctionError is an answer that says the function failed.
type FunctionError struct {
	Kind string
	Body []byte
}

func (e *FunctionError) Error() string { return fmt.Sprintf("function error %s: %s", e.Kind, e.Body) }

// StatusError is an answer other than 200.
type StatusError struct {
	Status int
	Body   []byte
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// Conn is one connection to a target. It is one client: it sends one request after the other.
type Conn struct {
	target *Target
	url    *url.URL
	signer *v4.Signer
	digest string
	conn   net.Conn
	reader *bufio.Reader
	buffer bytes.Buffer
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// Dial connects.
func Dial(ctx context.Context, target *Target) (*Conn, error) {
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("load: %q is not http://HOST:PORT or https://HOST:PORT", target.URL)
	}
	u.Path = "/2015-03-31/functions/" + target.Function + "/invocations"
	u.RawPath = "/2015-03-31/functions/" + url.PathEscape(target.Function) + "/invocations"
	conn, err := connect(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	digest := sha256.Sum256(target.Payload)
	return &Conn{
		target: target, url: u, signer: v4.NewSigner(), digest: hex.EncodeToString(digest[:]), conn: conn,
		reader: bufio.NewReader(conn),
	}, nil
}

func connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = u.Scheme // a service's name serves as well
	}
	address := net.JoinHostPort(u.Hostname(), port)
	if u.Scheme == "https" {
		// HTTP/1.1 alone: nothing else is announced.
		return new(tls.Dialer).DialContext(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Invoke sends one event and waits for its answer; took is from the first byte sent to the last one received. A
// *FunctionError and a *StatusError are answers too: the connection goes on, and took is valid.
func (c *Conn) Invoke(ctx context.Context) (took time.Duration, err error) {
	if err := c.prepare(ctx); err != nil {
		return 0, err
	}
	return c.exchange(ctx)
}

// Payload is the last answer's. It is valid until the next Invoke.
func (c *Conn) Payload() []byte { return c.buffer.Bytes() }

// exchange sends what is prepared and waits for the answer.
func (c *Conn) exchange(ctx context.Context) (took time.Duration, err error) {
	deadline, _ := ctx.Deadline() // none is the zero time, which means none to a connection too
	if err := c.conn.SetDeadline(deadline); err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	began := time.Now()
	_, err = c.conn.Write(c.buffer.Bytes())
	c.buffer.Reset()
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	defer response.Body.Close()
	if _, err := c.buffer.ReadFrom(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	took = time.Since(began)
	if response.StatusCode != http.StatusOK {
		return took, &StatusError{response.StatusCode, bytes.Clone(c.buffer.Bytes())}
	}
	if kind := response.Header.Get("X-Amz-Function-Error"); kind != "" {
		return took, &FunctionError{kind, bytes.Clone(c.buffer.Bytes())}
	}
	return took, nil
}

// prepare writes a request, signed as of now, to the buffer.
func (c *Conn) prepare(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(c.target.Payload))
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if c.target.Credentials.AccessKeyID != "" {
		err := c.signer.SignHTTP(ctx, c.target.Credentials, request, c.digest, "lambda", c.target.Region, time.Now())
		if err != nil {
			return fmt.Errorf("load: sign: %w", err)
		}
	}
	c.buffer.Reset()
	return request.Write(&c.buffer)
}
