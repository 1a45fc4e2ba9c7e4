package control

import (
	"context"

	"hotaru/awsapi"
	"hotaru/function"
)

// target is the function a request is about.
type target struct {
	id        function.ID
	qualifier string
	call      *awsapi.Call
}

// caller is the place a request was made in, as a function's ID without a name.
func caller(call *awsapi.Call) function.ID {
	return function.ID{Partition: call.Scope.Partition, Region: call.Scope.Region, Account: call.Scope.Account}
}

// resolve finds out which function a FunctionName parameter and a Qualifier parameter mean.
func resolve(ctx context.Context, name, qualifier *string) (target, error) {
	call := awsapi.CallFrom(ctx)
	reference, ok := function.ParseReference(value(name))
	if !ok {
		return target{}, function.Errorf(function.ErrInvalidParameterValue, "Invalid function name: %s", value(name))
	}
	here := caller(call)
	if reference.Account != "" && reference.Account != here.Account {
		// Recorded: AWS says no more than this.
		return target{}, function.Errorf(function.ErrAccessDenied, "User: %s is not authorized to perform: lambda:%s "+
			"on resource: %s because no resource-based policy allows the lambda:%s action", call.Caller.ARN,
			call.Operation, function.ID{Partition: here.Partition, Region: here.Region, Account: reference.Account,
				Name: reference.Name}.ARN(), call.Operation)
	}
	id, q, err := reference.Resolve(here, value(qualifier))
	if err != nil {
		return target{}, err
	}
	return target{id: id, qualifier: q, call: call}, nil
}

// unpublished refuses a qualifier on operations that only $LATEST has.
func (t target) unpublished() error {
	if t.qualifier != "" && t.qualifier != function.Latest {
		return function.NotFound(t.id, t.qualifier)
	}
	return nil
}

// value is what an optional parameter points to, or its type's zero.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }

// some is nil for a zero value: the API leaves such members out.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
