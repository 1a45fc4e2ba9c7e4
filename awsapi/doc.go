// Package awsapi is the AWS wire: shapes and routes generated from the service models, protocols, validation,
// error encoding and signatures. It must not know what any operation does.
//
// The packages of this room, and how to use them:
//
//	awsapi/lambda, iam, sts   generated: types, constants, Service, Handlers
//	awsapi/server             http.Handler over any number of services
//	awsapi/sigv4              verifies and makes signatures
//	awsapi/checksum           the checksums that travel beside payloads
//	awsapi/protocol           restJson1, restXml, query, awsJson, rpcv2Cbor: requests to inputs, outputs to answers
//	awsapi/validate           the model's constraints in AWS's words
//	awsapi/compat             docs/compat.md from what is built and tested
//	awsapi/gen                the generator: go generate ./awsapi
//
// A service is a struct of functions. What is left nil answers NotImplementedException (501):
//
//	functions := lambda.Handlers{
//		GetFunction: func(ctx context.Context, in *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
//			call := awsapi.CallFrom(ctx) // request ID, scope, caller
//			if unknown {
//				return nil, awsapi.Errorf(lambda.ResourceNotFoundException, "Function not found: %s", arn)
//			}
//			return &lambda.GetFunctionResponse{Configuration: &lambda.FunctionConfiguration{FunctionName: &name}}, nil
//		},
//	}
//	verifier := sigv4.NewVerifier(sigv4.Options{Credentials: lookUp, Insecure: insecure})
//	handler, err := server.New(server.Options{
//		Region: "us-east-1", Account: account, Authenticator: verifier, Done: accessLog,
//	}, functions.Binding(), users.Binding(), tokens.Binding())
//
// A URL that carries its own signature, such as Code.Location's:
//
//	location, err := sigv4.Presigning{AccessKeyID: id, Secret: secret, Region: region, Service: "s3",
//		Expires: 10 * time.Minute, At: time.Now()}.Presign("GET", target)
//
// Inputs arrive decoded and valid by the model. In types scalars and structures are pointers, enums are *string with
// constants beside them (lambda.RuntimePython3_12), blobs []byte, lists and maps hold values; an absent list is nil,
// an empty one is not. A blob that is the whole body (Invoke's Payload) is the body's own memory in both directions.
// A streaming payload is an io.Reader (and an awsapi.Trailed, whose checksums were found right), an event stream an
// awsapi.Events. An operation without input or output has an empty <Operation>Input or <Operation>Output. A nil output
// stands for an empty one.
//
// Status codes are the model's; where the output has a StatusCode member (Invoke: 200, 202, 204) it wins. Headers are
// members too. Call has what no model has: the request ID, the scope (account of the caller, region of the signature),
// the caller, the trace ID.
//
// Any error with ErrorCode and ErrorMessage (APIError) is written as the service's model has it, with the shape's
// status and members; ErrorFields adds members (Reason, retryAfterSeconds). Wrapping it is fine. Any other error is
// shown as the service's internal failure, without its words, and given to Options.Done as Entry.Err: log it there.
package awsapi
