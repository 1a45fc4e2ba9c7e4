package control

import (
	"context"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// reservations are the concurrent executions that are kept for single functions. They are counted anew whenever one
// changes, which is seldom, so that asking for them costs an invocation next to nothing.
type reservations struct {
	functions map[function.ID]int
	// accounts has the sum for each account and region, under an ID without a name.
	accounts map[function.ID]int
}

// Reserved implements invoke.Functions.
func (f *Functions) Reserved(id function.ID) (own int, ok bool, all int) {
	r := f.reservations.Load()
	if r == nil {
		return 0, false, 0
	}
	own, ok = r.functions[id]
	return own, ok, r.accounts[placeOf(id)]
}

func placeOf(id function.ID) function.ID {
	id.Name = ""
	return id
}

// countReservations takes the sums of what the heads say.
func (f *Functions) countReservations() {
	f.recounting.Lock()
	defer f.recounting.Unlock()
	r := &reservations{functions: map[function.ID]int{}, accounts: map[function.ID]int{}}
	for h := range f.all() {
		if h.Reserved != nil {
			r.functions[h.ID] = *h.Reserved
			r.accounts[placeOf(h.ID)] += *h.Reserved
		}
	}
	if len(r.functions) == 0 {
		r = nil
	}
	f.reservations.Store(r)
}

// reserve sets what is kept for a function; nil takes it away. Those who reserve do so one after the other, because what
// one gets is missing for the others.
func (l *Lambda) reserve(ctx context.Context, id function.ID, executions *int) error {
	l.reserving.Lock()
	defer l.reserving.Unlock()
	_, err := l.Functions.update(ctx, id, func(h *head) ([]*function.Version, error) {
		if executions != nil {
			_, _, all := l.Functions.Reserved(id)
			if all-value(h.Reserved)+*executions > function.DefaultConcurrency-function.MinUnreserved {
				return nil, invalid("Specified ReservedConcurrentExecutions for function decreases account's "+
					"UnreservedConcurrentExecution below its minimum value of [%d].", function.MinUnreserved)
			}
		}
		h.Reserved = executions
		return nil, nil
	})
	if err == nil {
		l.Functions.countReservations()
	}
	return err
}

// PutFunctionConcurrency implements https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html.
func (l *Lambda) PutFunctionConcurrency(ctx context.Context, in *lambda.PutFunctionConcurrencyRequest) (*lambda.Concurrency, error) {
	id, err := wholeFunction(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	executions := int(value(in.ReservedConcurrentExecutions))
	return &lambda.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, l.reserve(ctx, id, &executions)
}

// GetFunctionConcurrency implements https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html.
func (l *Lambda) GetFunctionConcurrency(ctx context.Context,
	in *lambda.GetFunctionConcurrencyRequest) (*lambda.GetFunctionConcurrencyResponse, error) {
	h, err := l.wholeHead(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return (*lambda.GetFunctionConcurrencyResponse)(orEmpty(h.concurrency())), nil
}

// DeleteFunctionConcurrency implements https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html.
func (l *Lambda) DeleteFunctionConcurrency(ctx context.Context,
	in *lambda.DeleteFunctionConcurrencyRequest) (*lambda.DeleteFunctionConcurrencyOutput, error) {
	id, err := wholeFunction(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionConcurrencyOutput{}, l.reserve(ctx, id, nil)
}

// GetAccountSettings implements https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html.
func (l *Lambda) GetAccountSettings(ctx context.Context, _ *lambda.GetAccountSettingsRequest) (*lambda.GetAccountSettingsResponse, error) {
	scope := caller(awsapi.CallFrom(ctx))
	var size, count int64
	for h := range l.Functions.list(scope, "") {
		latest, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, err
		}
		count++
		size += latest.Code.Size
		for _, v := range l.Functions.inOrder(h, 0) {
			size += v.Code.Size
		}
	}
	for id := range l.Layers.list(scope, "") {
		for _, v := range l.Layers.newestFirst(id) {
			size += v.Code.Size
		}
	}
	_, _, reserved := l.Functions.Reserved(scope)
	return &lambda.GetAccountSettingsResponse{
		AccountLimit: &lambda.AccountLimit{
			TotalCodeSize: ptr(int64(function.MaxCodeStorageBytes)), CodeSizeUnzipped: ptr(int64(function.MaxUnzippedBytes)),
			CodeSizeZipped: ptr(int64(function.MaxZippedBytes)), ConcurrentExecutions: ptr(int32(function.DefaultConcurrency)),
			UnreservedConcurrentExecutions: ptr(int32(function.DefaultConcurrency - reserved)),
		},
		AccountUsage: &lambda.AccountUsage{TotalCodeSize: &size, FunctionCount: &count},
	}, nil
}

// wholeFunction finds the function of an operation that versions and aliases do not have.
func wholeFunction(ctx context.Context, name *string) (function.ID, error) {
	t, err := resolve(ctx, name, nil)
	if err == nil && t.qualifier != "" {
		err = invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this " +
			"operation. Please specify either a function name or an unqualified function ARN.")
	}
	return t.id, err
}

// concurrency shows what is reserved; nil if nothing is.
func (h *head) concurrency() *lambda.Concurrency {
	if h.Reserved == nil {
		return nil
	}
	return &lambda.Concurrency{ReservedConcurrentExecutions: ptr(int32(*h.Reserved))}
}

func orEmpty[T any](p *T) *T {
	if p == nil {
		p = new(T)
	}
	return p
}
