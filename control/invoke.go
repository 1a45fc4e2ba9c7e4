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
	if in.TenantId != nil {
		return nil, invalid("The invoked function is not enabled with tenancy configuration. Remove the tenant ID from " +
			"your request and try again.")
	}
	if err := checkPayload(in.Payload); err != nil {
		return nil, err
	}
	clientContext, err := decodeClientContext(value(in.ClientContext))
	if err != nil {
		return nil, err
	}
	switch value(in.InvocationType) {
	case "DryRun":
		if _, err := l.Functions.Serving(ctx, t.id, t.qualifier); err != nil {
			return nil, err
		}
		return &lambda.InvocationResponse{StatusCode: ptr(int32(204))}, nil
	case "Event":
		return nil, notBuilt("Invoke with InvocationType Event")
	}
	payload, tail := in.Payload, value(in.LogType) == "Tail"
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	result, err := l.Invoker.Invoke(ctx, &invoke.Request{
		ID: t.id, Qualifier: t.qualifier,
		Invocation: invoke.Invocation{
			RequestID: t.call.RequestID, TraceID: t.call.TraceID, ClientContext: clientContext,
			Payload: payload, Tail: tail,
		},
	})
	if err != nil {
		return nil, err
	}
	t.call.AnswerTraceID = result.TraceID
	out := &lambda.InvocationResponse{
		StatusCode: ptr(int32(200)), ExecutedVersion: ptr(result.Version.Version),
		FunctionError: some(result.FunctionError), Payload: result.Payload,
	}
	if tail { // else the invocation may not be finished yet
		out.LogResult = ptr(base64.StdEncoding.EncodeToString(result.LogTail))
	}
	return out, nil
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
