package daemon

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestPowertools runs AWS's Powertools for Lambda: what they take from the context, the environment and logging is there, cold
// and warm.
func TestPowertools(t *testing.T) {
	h := start(t)
	runtimeID := h.installed("python3.14", "python3.13", "python3.12", "python3.11", "python3.10")
	files := filesBelow(t, pinned(t, "powertools", []string{"python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--no-compile", "--target", ".", "-r", "requirements.txt"}, []string{"testdata/powertools/requirements.txt"}),
		func(path string) bool { return strings.HasSuffix(path, ".py") })
	text, err := os.ReadFile(filepath.Join("testdata", "powertools", "shop.py"))
	if err != nil {
		t.Fatal(err)
	}
	files["shop.py"] = string(text)
	h.create("shop", runtimeID, "shop.handler", files, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1769) })
	for _, cold := range []bool{true, false} {
		out := h.invoke("shop", `{"order":"o-1"}`)
		tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil || string(out.Payload) != "true" {
			t.Fatalf("%s %v\n%s", out.Payload, err, tail)
		}
		said := map[string]map[string]any{}
		for line := range strings.Lines(string(tail)) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) != nil {
				continue // the platform's own lines
			}
			if message, ok := record["message"].(string); ok {
				said[message] = record
			}
			for _, metric := range []string{"Sold", "ColdStart"} {
				if record[metric] != nil {
					said[metric] = record
				}
			}
		}
		sold := said["sold"]
		request, _ := sold["function_request_id"].(string)
		trace, _ := sold["xray_trace_id"].(string)
		if sold["level"] != "INFO" || sold["cold_start"] != cold || sold["correlation_id"] != "o-1" || sold["function_name"] != "shop" ||
			sold["function_memory_size"] != "1769" || sold["function_arn"] != "arn:aws:lambda:us-east-1:000000000000:function:shop" ||
			!strings.Contains(string(tail), "START RequestId: "+request+" ") ||
			!strings.HasPrefix(trace, "1-") {
			t.Errorf("cold %v: %v", cold, sold)
		}
		if said["not there"]["exception_name"] != "KeyError" || said["Sold"] == nil || (said["ColdStart"] != nil) != cold {
			t.Errorf("cold %v:\n%s", cold, tail)
		}
	}
}
