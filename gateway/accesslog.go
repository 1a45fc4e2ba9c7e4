package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"hotaru/awsapi/server"
)

// done writes the access log of requests to services: errors of ours loudly, everything else for those who look.
// Queries, headers and bodies stay out of it: they hold signatures, tokens and secrets.
func (g *Gateway) done(e server.Entry) {
	if e.Err == nil && !g.logs() {
		return
	}
	attributes := []any{
		"method", e.Method, "path", tooLong(e.Path), "service", e.Call.Service, "operation", e.Call.Operation,
		"status", e.Status, "code", e.Code, "took", e.Took, "bytes", e.Sent, "request", e.Call.RequestID,
		"caller", e.Call.Caller.ARN, "source", e.Call.SourceIP,
	}
	if e.Err != nil {
		g.options.Logger.Error("request failed", append(attributes, "error", e.Err)...)
		return
	}
	g.options.Logger.Log(context.Background(), g.accessLevel(), "request", attributes...)
}

// line is what the access log says of a request that reaches no service: a refused one has a code, others an operation
// of the gateway's own.
type line struct {
	operation, code, request string
	status                   int
	sent                     int64
	started                  time.Time
}

// log writes a line.
func (g *Gateway) log(r *http.Request, l *line) {
	if !g.logs() {
		return
	}
	source, _, _ := net.SplitHostPort(r.RemoteAddr) // empty if there is none
	g.options.Logger.Log(r.Context(), g.accessLevel(), "request",
		"method", tooLong(r.Method), "path", tooLong(r.URL.EscapedPath()), "service", "", "operation", l.operation,
		"status", l.status, "code", l.code, "took", time.Since(l.started), "bytes", l.sent, "request", l.request,
		"host", tooLong(r.Host), "source", source)
}

func (g *Gateway) logs() bool {
	return g.options.Logger.Enabled(context.Background(), g.accessLevel())
}

func (g *Gateway) accessLevel() slog.Level {
	if g.options.AccessLog {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// tooLong cuts what comes from outside to a length that a log can bear.
func tooLong(text string) string {
	const limit = 512
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}
