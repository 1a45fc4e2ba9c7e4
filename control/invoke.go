package control

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"hotaru/awsapi/lambda"
	"hotaru/function"
	"hotaru/invoke"
)

// maxClientContext is the most bytes of a decoded client context.
const maxClientContext = 3583

// Invoke implements https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
func (l *Lambda) Invoke(ctx context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.DurableExecutionName != nil {
		return nil, notBuilt("DurableExecutionName")
	}
	if value(in.InvocationType) == "Event" {
		return nil, notBuilt("Invoke with InvocationType Event")
	}
	request, err := newInvocation(t, in.Payload, in.ClientContext, in.TenantId, in.LogType)
	if err != nil {
		return nil, err
	}
	result, err := l.run(ctx, t, request, in.InvocationType)
	if err != nil {
		return nil, err
	}
	if result == nil {
		return &lambda.InvocationResponse{StatusCode: ptr(int32(204))}, nil
	}
	return &lambda.InvocationResponse{
		StatusCode: ptr(int32(200)), ExecutedVersion: ptr(result.Version.Version),
		FunctionError: some(result.FunctionError), Payload: result.Payload, LogResult: logResult(request, result),
	}, nil
}

// run invokes. A DryRun, which only asks whether that could be done, has no result.
func (l *Lambda) run(ctx context.Context, t target, request *invoke.Request, invocationType *string) (*invoke.Result, error) {
	if value(invocationType) == "DryRun" {
		v, err := l.Functions.Serving(ctx, t.id, t.qualifier)
		if err == nil {
			err = v.CheckTenant(request.TenantID)
		}
		return nil, err
	}
	result, err := l.Invoker.Invoke(ctx, request)
	if err != nil {
		return nil, err
	}
	t.call.AnswerTraceID = result.TraceID
	return result, nil
}

// newInvocation checks what all ways to invoke have in common.
func newInvocation(t target, payload []byte, clientContext, tenantID, logType *string) (*invoke.Request, error) {
	if err := checkPayload(payload); err != nil {
		return nil, err
	}
	decoded, err := decodeClientContext(value(clientContext))
	if err != nil {
		return nil, err
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	return &invoke.Request{
		ID: t.id, Qualifier: t.qualifier,
		Invocation: invoke.Invocation{
			RequestID: t.call.RequestID, TraceID: t.call.TraceID, ClientContext: decoded, TenantID: value(tenantID),
			Payload: payload, Tail: value(logType) == "Tail",
		},
	}, nil
}

// logResult is the tail of the log, where it was asked for: else the invocation may still be on its way to its end.
func logResult(asked *invoke.Request, r *invoke.Result) *string {
	if !asked.Tail {
		return nil
	}
	return ptr(base64.StdEncoding.EncodeToString(r.LogTail))
}

func decodeClientContext(encoded string) (string, error) {
	if encoded == "" {
		return "", nil
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(text) || len(text) > maxClientContext {
		return "", function.Errorf(function.ErrInvalidRequestContent,
			"Client context must be a valid Base64-encoded JSON object.")
	}
	return string(text), nil
}
