// A function on aws-lambda-go, the client of the Runtime API that most compiled functions have.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Size int    `json:"size"`
}

func main() {
	lambda.Start(func(ctx context.Context, e event) (any, error) {
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		switch e.Do {
		case "fail":
			return nil, errors.New("failed as told")
		case "panic":
			panic("panicked as told")
		case "large":
			return string(make([]byte, e.Size)), nil
		}
		return map[string]any{"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "deadline": deadline.UnixMilli(),
			"custom": lc.ClientContext.Custom, "trace": os.Getenv("_X_AMZN_TRACE_ID"), "identity": lc.Identity.CognitoIdentityID}, nil
	})
}
