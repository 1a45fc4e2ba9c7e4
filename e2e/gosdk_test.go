package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// goSDK walks the scenario with AWS's SDK for Go, version 2.
type goSDK struct {
	lambda *lambda.Client
	iam    *iam.Client
	sts    *sts.Client
}

func newGoSDK(e *errand, who string) goSDK {
	config := e.server.Config()
	config.Credentials = credentials.NewStaticCredentialsProvider(e.Credentials[who][0], e.Credentials[who][1], "")
	if who == "nobody" {
		config.Credentials = aws.AnonymousCredentials{}
	}
	return goSDK{lambda.NewFromConfig(config), iam.NewFromConfig(config), sts.NewFromConfig(config)}
}

func runGoSDK(ctx context.Context, e *errand) ([]seen, error) {
	var list []seen
	for _, s := range e.Steps {
		who := s.As
		if who == "" {
			who = "root"
		}
		saw, err := newGoSDK(e, who).walk(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Step, err)
		}
		saw.Step = s.Step
		list = append(list, saw)
	}
	return list, nil
}

func (g goSDK) walk(ctx context.Context, s step) (seen, error) {
	switch {
	case s.Wait != "":
		return g.wait(ctx, s)
	case s.Pages != "":
		return g.pages(ctx, s)
	}
	service, name := s.target()
	method := reflect.ValueOf(map[string]any{"lambda": g.lambda, "iam": g.iam, "sts": g.sts}[service]).MethodByName(name)
	if !method.IsValid() {
		return seen{}, errors.New("the SDK has no such operation")
	}
	in := reflect.New(method.Type().In(1).Elem())
	if err := decode(s.Input, in.Interface()); err != nil {
		return seen{}, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if err, _ := results[1].Interface().(error); err != nil {
		return refused(err)
	}
	metadata := results[0].Elem().FieldByName("ResultMetadata").Interface().(middleware.Metadata)
	raw, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
	if !ok {
		return seen{}, errors.New("the SDK keeps no response")
	}
	output, err := shown(results[0])
	return seen{Status: raw.StatusCode, Output: output}, err
}

func refused(err error) (seen, error) {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		return seen{Failed: err.Error()}, nil
	}
	return seen{Status: response.HTTPStatusCode(), Error: &refusal{api.ErrorCode(), api.ErrorMessage()}}, nil
}

func (g goSDK) wait(ctx context.Context, s step) (seen, error) {
	const limit, pause = time.Minute, 100 * time.Millisecond
	name, _ := s.Input["FunctionName"].(string)
	in := &lambda.GetFunctionInput{FunctionName: &name}
	var err error
	switch s.Wait {
	case "lambda.FunctionActiveV2":
		err = lambda.NewFunctionActiveV2Waiter(g.lambda, func(o *lambda.FunctionActiveV2WaiterOptions) {
			o.MinDelay, o.MaxDelay = pause, pause
		}).Wait(ctx, in, limit)
	case "lambda.FunctionUpdatedV2":
		err = lambda.NewFunctionUpdatedV2Waiter(g.lambda, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
			o.MinDelay, o.MaxDelay = pause, pause
		}).Wait(ctx, in, limit)
	default:
		return seen{}, errors.New("no such waiter")
	}
	if err != nil {
		return seen{Failed: err.Error()}, nil
	}
	return seen{Done: true}, nil
}

func (g goSDK) pages(ctx context.Context, s step) (seen, error) {
	size := int32(s.Size)
	switch s.Pages {
	case "lambda.ListFunctions":
		in, err := input[lambda.ListFunctionsInput](s)
		p := lambda.NewListFunctionsPaginator(g.lambda, in, func(o *lambda.ListFunctionsPaginatorOptions) { o.Limit = size })
		return collect(ctx, err, p.HasMorePages, p.NextPage)
	case "iam.ListRoles":
		in, err := input[iam.ListRolesInput](s)
		p := iam.NewListRolesPaginator(g.iam, in, func(o *iam.ListRolesPaginatorOptions) { o.Limit = size })
		return collect(ctx, err, p.HasMorePages, p.NextPage)
	case "iam.ListAttachedRolePolicies":
		in, err := input[iam.ListAttachedRolePoliciesInput](s)
		p := iam.NewListAttachedRolePoliciesPaginator(g.iam, in, func(o *iam.ListAttachedRolePoliciesPaginatorOptions) { o.Limit = size })
		return collect(ctx, err, p.HasMorePages, p.NextPage)
	}
	return seen{}, errors.New("no such paginator")
}

// collect reads all pages. err is an earlier one.
func collect[Options, Output any](ctx context.Context, err error, more func() bool,
	next func(context.Context, ...func(*Options)) (*Output, error)) (seen, error) {
	var s seen
	for err == nil && more() {
		var page *Output
		if page, err = next(ctx); err != nil {
			return refused(err)
		}
		var output map[string]any
		output, err = shown(reflect.ValueOf(page))
		s.Pages = append(s.Pages, output)
	}
	return s, err
}

func input[T any](s step) (*T, error) {
	in := new(T)
	return in, decode(s.Input, in)
}

// decode fills an operation's input. What the SDK does not know is an error.
func decode(value map[string]any, in any) error {
	text, err := json.Marshal(unwrapped(value))
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(in)
}

// unwrapped replaces blobs by base64, which is how encoding/json wants bytes.
func unwrapped(value map[string]any) any {
	if content, ok := bytesOf(value); ok {
		return content
	}
	out := map[string]any{}
	for name, v := range value {
		if inner, ok := v.(map[string]any); ok {
			v = unwrapped(inner)
		}
		out[name] = v
	}
	return out
}

// shown turns the SDK's output into JSON: what is nil is left out, and policies are decoded as a user has to.
func shown(output reflect.Value) (map[string]any, error) {
	value, err := plain(output)
	fields, _ := value.(map[string]any)
	return fields, err
}

func plain(v reflect.Value) (any, error) {
	switch x := v.Interface().(type) {
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case []byte:
		return string(x), nil
	case middleware.Metadata:
		return nil, nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		return plainStruct(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = plain(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.String:
		if v.Type() != reflect.TypeFor[string]() && v.Len() == 0 {
			return nil, nil // an enumeration that is not set
		}
	}
	return v.Interface(), nil
}

func plainStruct(v reflect.Value) (any, error) {
	fields := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		value, err := plain(v.Field(i))
		if err != nil {
			return nil, err
		}
		if text, ok := value.(string); ok && strings.HasSuffix(field.Name, "Document") {
			if value, err = policy(text); err != nil {
				return nil, err
			}
		}
		if value != nil {
			fields[field.Name] = value
		}
	}
	return fields, nil
}

// policy decodes a policy as IAM answers it.
func policy(text string) (any, error) {
	text, err := url.PathUnescape(text)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal([]byte(text), &value)
	return value, err
}
