package daemon

import (
	"context"
	"strings"

	"hotaru/awsapi"
)

// authorize lets the root user do everything and everybody else, which is functions with their execution role's
// session, ask who they are: policies are not evaluated yet, and until they are nothing is allowed by default.
func authorize(b awsapi.Binding) awsapi.Binding {
	handlers := make([]awsapi.Handler, len(b.Handlers))
	for i, h := range b.Handlers {
		if h.Built() {
			h.Call = guard(h.Call)
		}
		handlers[i] = h
	}
	return awsapi.Binding{Service: b.Service, Handlers: handlers}
}

func guard(next func(context.Context, any) (any, error)) func(context.Context, any) (any, error) {
	return func(ctx context.Context, in any) (any, error) {
		call := awsapi.CallFrom(ctx)
		action := call.Service + ":" + call.Operation
		if !isRoot(call.Caller) && action != "sts:GetCallerIdentity" {
			code := "AccessDeniedException"
			if call.Service == "iam" || call.Service == "sts" {
				code = "AccessDenied"
			}
			return nil, &awsapi.Error{Code: code, Status: 403, Message: "User: " + call.Caller.ARN +
				" is not authorized to perform: " + action + " because no identity-based policy allows the " + action + " action"}
		}
		return next(ctx, in)
	}
}

func isRoot(who awsapi.Identity) bool { return strings.HasSuffix(who.ARN, ":root") }
