// Package gateway is the HTTP front: one port for plain HTTP/1.1, HTTP/2 and TLS, what clients may take of it, which
// hosts and which web pages it answers, and a handler that knows which requests are AWS's, which are downloads of
// deployment packages, and who signed them. It must not know what an operation does.
package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/server"
	"hotaru/awsapi/sigv4"
	"hotaru/credential"
)

// Options configure a Gateway.
type Options struct {
	Partition, Account, Region string
	Authority                  *credential.Authority
	// AnyCredentials accepts every access key and every signature, as the root user.
	AnyCredentials bool
	// Packages are the deployment packages to download.
	Packages Packages
	// Listen is the HOST:PORT that is listened on; its host is one of ours.
	Listen string
	// AllowedHosts are further names under which this Hotaru is addressed, or *.NAME.
	AllowedHosts []string
	// CORSOrigins are the web origins whose pages may use this Hotaru. None by default.
	CORSOrigins []string
	Limits      Limits
	// AccessLog writes a line per request at Info instead of Debug.
	AccessLog bool
	Logger    *slog.Logger
}

// Gateway is the http.Handler for everything.
type Gateway struct {
	options  Options
	verifier *sigv4.Verifier
	aws      *server.Server
	hosts    *hosts
	origins  origins
	port     *door
}

// New makes a Gateway for services.
func New(options Options, bindings ...awsapi.Binding) (_ *Gateway, err error) {
	g := &Gateway{options: options}
	if g.hosts, err = newHosts(options.Listen, options.AllowedHosts); err != nil {
		return nil, err
	}
	if g.origins, err = newOrigins(options.CORSOrigins); err != nil {
		return nil, err
	}
	g.port = g.newDoor(false)
	g.verifier = sigv4.NewVerifier(sigv4.Options{Credentials: g.lookup, Insecure: options.AnyCredentials})
	aws, err := server.New(server.Options{
		Partition: options.Partition, Account: options.Account, Region: options.Region,
		Authenticator: keeper{g.verifier}, Done: g.done,
	}, bindings...)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.aws = aws
	return g, nil
}

// lookup finds a credential for the verifier.
func (g *Gateway) lookup(ctx context.Context, accessKeyID, token string) ([]byte, awsapi.Identity, error) {
	secret, who, err := g.options.Authority.Lookup(ctx, accessKeyID, token)
	switch {
	case errors.Is(err, credential.ErrExpired):
		return nil, awsapi.Identity{}, sigv4.ErrExpired
	case err != nil && g.options.AnyCredentials:
		return nil, g.options.Authority.RootIdentity(accessKeyID), nil
	case err != nil:
		return nil, awsapi.Identity{}, sigv4.ErrUnknownKey
	}
	return []byte(secret), who, nil
}

// keeper is the verifier for services: it lets the bodies be kept whose sender's key is known.
type keeper struct{ *sigv4.Verifier }

// Verify implements server.Authenticator.
func (k keeper) Verify(r *http.Request, expect sigv4.Expect, digest func() ([sha256.Size]byte, error)) (sigv4.Result, error) {
	body, ok := r.Body.(*guardedBody)
	if !ok {
		return k.Verifier.Verify(r, expect, digest)
	}
	result, err := k.Verifier.Verify(r, expect, func() (sum [sha256.Size]byte, err error) {
		// Only a signature by a known key is worth the reading.
		if err := (*guarded)(body).keep(); err != nil {
			return sum, err
		}
		return digest()
	})
	if err == nil {
		err = (*guarded)(body).keep()
	}
	return result, err
}

// ServeHTTP answers one request on the port.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.port.ServeHTTP(w, r) }

// Beside is the handler for a listener of its own beside the port, whose requests nobody signs. It answers the same hosts
// and the same pages as the port.
func (g *Gateway) Beside(next http.Handler) http.Handler {
	door := g.newDoor(false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusal := door.check(w, r); refusal != nil {
			door.refuse(w, r, refusal, time.Now())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Inside is the handler for listeners inside execution environments, which are addressed by AWS's own names too. It
// shares no memory with the port, so that functions cannot keep others from it.
func (g *Gateway) Inside() http.Handler { return g.newDoor(true) }
