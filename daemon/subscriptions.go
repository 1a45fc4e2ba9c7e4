package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"hotaru/control"
	"hotaru/function"
	"hotaru/invoke"
	"hotaru/policy"
	cloudwatch "hotaru/services/logs"
)

// logFunctions are the functions that log events are delivered to.
type logFunctions struct {
	functions invoke.Functions
	// policy is a function's own, of an ARN; nil without one.
	policy  func(arn string) *policy.Document
	invoker control.Invoker
}

// LogGroup implements logs.Functions.
func (f logFunctions) LogGroup(ctx context.Context, arn string) (string, error) {
	id, qualifier, err := parseDestination(arn)
	if err != nil {
		return "", err
	}
	v, err := f.functions.Serving(ctx, id, qualifier)
	if err != nil {
		return "", destinationError(err)
	}
	return v.Logging.Group, nil
}

// Allows implements logs.Functions. AWS's name for the service has the region in it or, in newer policies, not.
func (f logFunctions) Allows(arn, groupARN string) bool {
	id, _, err := parseDestination(arn)
	document := f.policy(arn)
	if err != nil || document == nil {
		return false
	}
	for _, service := range []string{"logs." + id.Region + ".amazonaws.com", "logs.amazonaws.com"} {
		decision := document.Decide(&policy.Request{
			Action: "lambda:InvokeFunction", Resource: arn, Principal: policy.Principal{Service: service},
			Region: id.Region, ResourceAccount: id.Account, Now: time.Now(),
			Keys: map[string][]string{"aws:sourcearn": {groupARN + ":*"}, "aws:sourceaccount": {id.Account}},
		})
		if decision.Explicit {
			return false
		}
		if decision.Allowed {
			return true
		}
	}
	return false
}

// Deliver implements logs.Functions.
func (f logFunctions) Deliver(ctx context.Context, arn string, event []byte) error {
	id, qualifier, err := parseDestination(arn)
	if err != nil {
		return err
	}
	result, err := f.invoker.Invoke(ctx, &invoke.Request{
		ID: id, Qualifier: qualifier, Invocation: invoke.Invocation{RequestID: uuid.NewString(), Payload: event},
	})
	if err != nil {
		return destinationError(err)
	}
	if result.FunctionError != "" {
		return fmt.Errorf("%w: %s", cloudwatch.ErrFunctionFailed, result.ErrorType)
	}
	return nil
}

func parseDestination(arn string) (function.ID, string, error) {
	r, ok := function.ParseReference(arn)
	if !ok || r.Partition == "" {
		return function.ID{}, "", fmt.Errorf("%w: %s", cloudwatch.ErrNoFunction, arn)
	}
	return function.ID{Partition: r.Partition, Account: r.Account, Region: r.Region, Name: r.Name}, r.Qualifier, nil
}

// destinationError tells a function that is not there from one that cannot be run now.
func destinationError(err error) error {
	if refusal := (*function.Error)(nil); errors.As(err, &refusal) && refusal.Code == function.ErrResourceNotFound {
		return fmt.Errorf("%w: %w", cloudwatch.ErrNoFunction, err)
	}
	return err
}
