package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// invokeFor invokes a function for a tenant.
func (h *harness) invokeFor(name, tenant, payload string) (string, error) {
	out, err := h.lambda.Invoke(h.t.Context(), &lambda.InvokeInput{
		FunctionName: &name, TenantId: aws.String(tenant), Payload: []byte(payload),
	})
	if err != nil {
		return "", err
	}
	return string(out.Payload), nil
}

// refusedAs says whether an error is Lambda's InvalidParameterValueException with a message.
func refusedAs(err error, message string) bool {
	refusal := (*types.InvalidParameterValueException)(nil)
	return errors.As(err, &refusal) && aws.ToString(refusal.Message) == message
}

// TestTenants: the environments of a function with tenant isolation serve one tenant each, who is in the context, the log
// and the answer's errors as on Lambda.
func TestTenants(t *testing.T) {
	h := start(t)
	const source = `
seen = []
def handler(event, context):
    seen.append([context.tenant_id, event])
    print("working")
    return seen
`
	h.createPython("plain", source)
	h.createPython("tenants", source, func(in *lambda.CreateFunctionInput) {
		in.TenancyConfig = &types.TenancyConfig{TenantIsolationMode: types.TenantIsolationModePerTenant}
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, SystemLogLevel: types.SystemLogLevelDebug}
	})
	const lacks = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
	const tooMuch = "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
	for _, kind := range []types.InvocationType{types.InvocationTypeRequestResponse, types.InvocationTypeDryRun} {
		_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("tenants"), InvocationType: kind})
		if !refusedAs(err, lacks) {
			t.Errorf("%s without a tenant: %v", kind, err)
		}
	}
	if _, err := h.invokeFor("plain", "blue", "1"); !refusedAs(err, tooMuch) {
		t.Errorf("a tenant where there are none: %v", err)
	}
	if a := fmt.Sprint(h.invokeRaw("tenants", []byte("1"), map[string]string{"X-Amz-Tenant-Id": "blue!"})); !strings.Contains(a,
		"Value 'blue!' at 'tenantId' failed to satisfy constraint") {
		t.Error(a)
	}
	for _, step := range []struct{ tenant, payload, want string }{
		{"blue", "1", `[["blue", 1]]`}, {"green", "2", `[["green", 2]]`},
		{"blue", "3", `[["blue", 1], ["blue", 3]]`}, {"green", "4", `[["green", 2], ["green", 4]]`},
		{"a.b_c:d/e=f+g-h@i 1", "5", `[["a.b_c:d/e=f+g-h@i 1", 5]]`},
	} {
		if got, err := h.invokeFor("tenants", step.tenant, step.payload); err != nil || got != step.want {
			t.Errorf("%s: %s, %v; want %s", step.tenant, got, err, step.want)
		}
	}
	got, err := h.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("tenants")})
	if err != nil || got.TenancyConfig == nil || got.TenancyConfig.TenantIsolationMode != types.TenantIsolationModePerTenant {
		t.Errorf("%+v, %v", got, err)
	}
	h.tenantsInLog(5)
	published, err := h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("tenants")})
	if err != nil || published.TenancyConfig == nil {
		t.Fatalf("%+v, %v", published, err)
	}
	if _, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: published.FunctionArn}); !refusedAs(err, lacks) {
		t.Errorf("a version without a tenant: %v", err)
	}
}

// tenantsInLog looks for each invocation's tenant in the platform's records.
func (h *harness) tenantsInLog(invocations int) {
	h.t.Helper()
	h.waitLogged("/aws/lambda/tenants", `{ $.type = "platform.report" && $.record.tenantId = "a.b*" }`)
	counts := map[string]int{}
	for _, text := range messages(h.logged("/aws/lambda/tenants", 0)) {
		var record struct {
			Type   string
			Record struct{ TenantID string }
		}
		if json.Unmarshal([]byte(text), &record) == nil && record.Record.TenantID != "" {
			counts[record.Type]++
		}
	}
	for _, kind := range []string{"platform.start", "platform.runtimeDone", "platform.report"} {
		if counts[kind] != invocations {
			h.t.Errorf("%d of %s name a tenant, want %d", counts[kind], kind, invocations)
		}
	}
}
