// Package gateway is the HTTP front: one handler that knows which requests are AWS's, which are downloads of
// deployment packages, and who signed them. It must not know what an operation does.
package gateway

import (
	"context"
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
	Logger   *slog.Logger
}

// Gateway is the http.Handler for everything.
type Gateway struct {
	options  Options
	verifier *sigv4.Verifier
	aws      *server.Server
}

// New makes a Gateway for services.
func New(options Options, bindings ...awsapi.Binding) (*Gateway, error) {
	g := &Gateway{options: options}
	g.verifier = sigv4.NewVerifier(sigv4.Options{Credentials: g.lookup, Insecure: options.AnyCredentials})
	aws, err := server.New(server.Options{
		Partition: options.Partition, Account: options.Account, Region: options.Region,
		Authenticator: g.verifier, Done: g.done,
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

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isDownload(r) {
		g.download(w, r)
		return
	}
	g.aws.ServeHTTP(w, r)
}

// done writes the access log: errors of ours loudly, everything else for those who look.
func (g *Gateway) done(e server.Entry) {
	attributes := []any{
		"service", e.Call.Service, "operation", e.Call.Operation, "status", e.Status, "code", e.Code,
		"took", e.Took, "request", e.Call.RequestID, "caller", e.Call.Caller.ARN,
	}
	if e.Err != nil {
		g.options.Logger.Error("request failed", append(attributes, "error", e.Err)...)
		return
	}
	g.options.Logger.Debug("request", attributes...)
}

// The limits of a connection: a client that says nothing does not hold one for ever. There is none on the whole
// of a request or an answer, because an invocation may take 15 minutes.
const (
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	headerBytes = 64 << 10
)

// NewServer makes the HTTP server for a handler, HTTP/1.1 and h2c on one port.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		Protocols: protocols, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
