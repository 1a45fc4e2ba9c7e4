package awsapi

import "context"

// Scope is where a resource lives. Every key, ARN, limit, credential and environment has one.
type Scope struct {
	Partition string // "aws"
	Account   string // twelve digits
	Region    string // "us-east-1"
}

// Identity is who signed a request.
type Identity struct {
	// Account that the credential belongs to.
	Account string
	// ARN of the principal: arn:aws:iam::123456789012:root, .../user/name or an assumed role's.
	ARN string
	// UserID as STS GetCallerIdentity shows it.
	UserID string
	// AccessKeyID that signed.
	AccessKeyID string
}

// Call is what a handler may know of the request besides its input.
type Call struct {
	// RequestID is a UUID, also sent as x-amzn-RequestId.
	RequestID string
	Scope     Scope
	Caller    Identity
	// Service ("lambda") and Operation ("CreateFunction") as the model names them.
	Service   string
	Operation string
	// TraceID is the caller's X-Amzn-Trace-Id header, unchecked; empty where there is none.
	TraceID string
	// AnswerTraceID is the answer's X-Amzn-Trace-Id header, which a handler may set.
	AnswerTraceID string
	// SourceIP and UserAgent describe the caller's end of the connection, for aws:SourceIp and aws:UserAgent.
	SourceIP  string
	UserAgent string
	// BaseURL is how the caller reached us, scheme and authority, without a slash at the end.
	BaseURL string
}

type callKey struct{}

// WithCall returns a context that carries the call.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the call of a handler's context. It panics outside of a handler: a programming error.
func CallFrom(ctx context.Context) *Call { return ctx.Value(callKey{}).(*Call) }
