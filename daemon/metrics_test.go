package daemon

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// scrape reads metrics as Prometheus does.
func (h *harness) scrape(change ...func(*http.Request)) (status int, text string) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), "GET", h.metricsURL, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range change {
		f(request)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// TestMetrics reads from a Hotaru what it has done.
func TestMetrics(t *testing.T) {
	h := start(t, func(c *Config) { c.Metrics = "localhost:0" })
	for name, change := range map[string]func(*http.Request){
		"another host":   func(r *http.Request) { r.Host = "rebound.example" },
		"a page":         func(r *http.Request) { r.Header.Set("Origin", "https://pages.example") },
		"a page's image": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		if status, text := h.scrape(change); status != http.StatusMisdirectedRequest && status != http.StatusForbidden || strings.Contains(text, "go_") {
			t.Errorf("%s: status %d: %.200s", name, status, text)
		}
	}
	if answer, _ := h.send("GET", "/metrics", nil, nil); answer.StatusCode < 400 {
		t.Errorf("the port serves /metrics with status %d", answer.StatusCode)
	}

	h.createPython("works", "def handler(event, context):\n    return 1\n")
	h.createPython("fails", "def handler(event, context):\n    raise ValueError()\n")
	h.ok("works", `1`)
	h.ok("works", `2`)
	h.invoke("fails", `3`)
	of := func(name string) string {
		return `{account_id="000000000000",executed_version="$LATEST",function_name="` + name + `",region="us-east-1"} `
	}
	_, text := h.scrape()
	for _, want := range []string{
		"aws_lambda_invocations_total" + of("works") + "2\n", "aws_lambda_errors_total" + of("works") + "0\n",
		"aws_lambda_invocations_total" + of("fails") + "1\n", "aws_lambda_errors_total" + of("fails") + "1\n",
		"aws_lambda_duration_seconds_count" + of("works") + "2\n", "aws_lambda_init_duration_seconds_count" + of("works") + "1\n",
		"aws_lambda_concurrent_executions" + of("works") + "0\n", "hotaru_cold_starts_total" + of("fails") + "1\n",
		"hotaru_environments{state=\"idle\"} 2\n", "hotaru_environments{state=\"busy\"} 0\n", "hotaru_log_events_dropped_total 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, none := range []string{`seconds_count{operation="create"} 0`, "hotaru_store_commit_seconds_count 0\n"} {
		if strings.Contains(text, none) {
			t.Errorf("there is %s", none)
		}
	}
	for _, some := range []string{`hotaru_sandbox_operation_seconds_count{operation="create"} `, `hotaru_blanks{state="ready"} `, `hotaru_hulls{state="ready"} `, "go_goroutines "} {
		if !strings.Contains(text, some) {
			t.Errorf("no %s", some)
		}
	}

	if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("works")}); err != nil {
		t.Fatal(err)
	}
	if _, text := h.scrape(); strings.Contains(text, `"works"`) || !strings.Contains(text, `"fails"`) {
		t.Error("the metrics of a deleted function are there, or another's are not")
	}
}

// TestNoMetrics: who does not ask for metrics has no listener for them.
func TestNoMetrics(t *testing.T) {
	if h := start(t); h.metricsURL != "" || h.metrics != nil {
		t.Errorf("metrics at %q", h.metricsURL)
	}
}
