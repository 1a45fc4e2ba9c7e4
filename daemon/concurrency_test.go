package daemon

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"hotaru/internal/recorded"
)

func (h *harness) reserve(name string, executions int) answer {
	h.t.Helper()
	return h.call(http.MethodPut, "/2017-10-31/functions/"+name+"/concurrency",
		h.json(map[string]any{"ReservedConcurrentExecutions": executions}), nil)
}

func (h *harness) reservedFor(name string) answer {
	h.t.Helper()
	return h.call(http.MethodGet, "/2019-09-30/functions/"+name+"/concurrency", nil, nil)
}

func (h *harness) unreserve(name string) answer {
	h.t.Helper()
	return h.call(http.MethodDelete, "/2017-10-31/functions/"+name+"/concurrency", nil, nil)
}

func TestConcurrencyRefusals(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): pass\n")
	h.createPython("g", "def handler(event, context): pass\n")
	for _, got := range []answer{h.reserve("nope", 1), h.reservedFor("nope"), h.unreserve("nope")} {
		if e, _ := got["Error"].(map[string]any); e["Code"] != "ResourceNotFoundException" {
			t.Errorf("a function that is not there: %v", got)
		}
	}
	for _, got := range []answer{h.reserve("f:1", 1), h.reservedFor("f:1"), h.unreserve("f:1")} {
		e, _ := got["Error"].(map[string]any)
		if text, _ := e["Message"].(string); e["Code"] != "InvalidParameterValueException" || !strings.HasPrefix(text, "This operation is permitted on Lambda functions only.") {
			t.Errorf("a version: %v", got)
		}
	}
	if e, _ := h.reserve("f", -1)["Error"].(map[string]any); e["Code"] != "ValidationException" {
		t.Errorf("less than nothing: %v", e)
	}
	s := record(t, "lambda_api", "TestLambdaReservedConcurrency::test_function_concurrency_limits")
	same(t, s, "put_function_concurrency_account_limit_exceeded", h.reserve("f", 1001), "Type")
	same(t, s, "put_function_concurrency_below_unreserved_min_value", h.reserve("f", 901), "Type")
	// What one has another cannot have, and what it has already it may exchange.
	if got := h.reserve("f", 500); got["Error"] != nil {
		t.Error(got)
	}
	same(t, s, "put_function_concurrency_below_unreserved_min_value", h.reserve("g", 401), "Type")
	for name, n := range map[string]int{"f": 400, "g": 400} {
		if got := h.reserve(name, n); got["Error"] != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRecordedConcurrency(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): return 1\n")
	s := record(t, "lambda", "TestLambdaConcurrency::test_lambda_concurrency_crud")
	same(t, s, "get_function_concurrency_default", h.reservedFor("f"))
	same(t, s, "put_function_concurrency", h.reserve("f", 0))
	same(t, s, "get_function_concurrency_updated", h.reservedFor("f"))
	got, err := h.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	if err != nil || got.Concurrency == nil || *got.Concurrency.ReservedConcurrentExecutions != 0 {
		t.Errorf("GetFunction: %v %v", got, err)
	}
	throttled := maps.Clone(record(t, "lambda", "TestLambdaConcurrency::test_reserved_concurrency")["exc_no_cap_requestresponse"].(map[string]any))
	same(t, recorded.Scenario{"x": throttled}, "x", h.invokeRaw("f", nil, nil))
	h.unreserve("f")
	same(t, s, "get_function_concurrency_deleted", h.reservedFor("f"))
	if got := h.ok("f", "{}"); got != "1" {
		t.Errorf("without a reservation: %s", got)
	}
}

// TestReservationsLast: what is reserved survives a restart, and goes with its function.
func TestReservationsLast(t *testing.T) {
	dir := t.TempDir()
	here := func(c *Config) { c.DataDir = dir }
	h := start(t, here)
	h.createPython("f", "def handler(event, context): return 1\n")
	h.reserve("f", 0)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = start(t, here)
	_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
	refused(t, err, "TooManyRequestsException", "Rate Exceeded.")
	h.reserve("f", 900)
	if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Fatal(err)
	}
	out, err := h.lambda.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil || out.AccountLimit.UnreservedConcurrentExecutions == nil || *out.AccountLimit.UnreservedConcurrentExecutions != 1000 {
		t.Errorf("after its function is gone: %v %v", out, err)
	}
}

func TestAccountSettings(t *testing.T) {
	h := start(t)
	ask := func() (size, count int64, unreserved int32) {
		out, err := h.lambda.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
		if err != nil {
			t.Fatal(err)
		}
		limit := out.AccountLimit
		if diff := cmp.Diff([]int64{80530636800, 262144000, 52428800, 1000},
			[]int64{limit.TotalCodeSize, limit.CodeSizeUnzipped, limit.CodeSizeZipped, int64(limit.ConcurrentExecutions)}); diff != "" {
			t.Errorf("limits: %s", diff)
		}
		return out.AccountUsage.TotalCodeSize, out.AccountUsage.FunctionCount, *limit.UnreservedConcurrentExecutions
	}
	if size, count, unreserved := ask(); size != 0 || count != 0 || unreserved != 1000 {
		t.Errorf("at first: %d bytes, %d functions, %d unreserved", size, count, unreserved)
	}
	pack := h.zip("handler.py", "def handler(event, context): pass\n")
	one := int64(len(pack))
	h.createPython("f", "def handler(event, context): pass\n")
	if size, count, _ := ask(); size != one || count != 1 {
		t.Errorf("with a function: %d bytes, %d functions; want %d", size, count, one)
	}
	h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Description": "x"}), nil)
	h.waitUpdated("f")
	if size, _, _ := ask(); size != one {
		t.Errorf("with another configuration: %d bytes, want %d", size, one)
	}
	h.publishVersion("f", nil)
	h.reserve("f", 7)
	layer := h.layerZip(map[string]string{"f": "x"})
	h.publish("l", map[string]string{"f": "x"})
	if size, count, unreserved := ask(); size != 2*one+int64(len(layer)) || count != 1 || unreserved != 993 {
		t.Errorf("with a version and a layer: %d bytes, %d functions, %d unreserved", size, count, unreserved)
	}
}
