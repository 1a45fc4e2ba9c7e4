package daemon

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestSystemLevels: SystemLogLevel decides which records of the platform are in a function's log, by AWS's table: what went
// well is no warning, and how an event went in detail is for DEBUG alone.
func TestSystemLevels(t *testing.T) {
	h := start(t)
	for level, want := range map[types.SystemLogLevel][]string{
		types.SystemLogLevelWarn: {"platform.runtimeDone", "platform.report"},
		types.SystemLogLevelInfo: {"platform.initStart",
			"platform.start", "platform.report", "platform.start", "platform.runtimeDone", "platform.report"},
		types.SystemLogLevelDebug: {"platform.initStart", "platform.initRuntimeDone", "platform.initReport",
			"platform.start", "platform.runtimeDone", "platform.report", "platform.start", "platform.runtimeDone", "platform.report"},
	} {
		name := "f-" + string(level)
		h.createPython(name, `
import os
def handler(event, context):
    if event == "exit":
        os._exit(3)
`, func(in *lambda.CreateFunctionInput) {
			in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, SystemLogLevel: level}
		})
		h.ok(name, `"go"`)
		if out := h.invoke(name, `"exit"`); aws.ToString(out.FunctionError) != "Unhandled" {
			t.Errorf("%s: %s", level, out.Payload)
		}
		h.waitLogged("/aws/lambda/"+name, `{ $.type = "platform.report" && $.record.status != "success" }`)
		var got []string
		for _, text := range messages(h.logged("/aws/lambda/"+name, 0)) {
			var record struct{ Type string }
			if err := json.Unmarshal([]byte(text), &record); err == nil && strings.HasPrefix(record.Type, "platform.") {
				got = append(got, record.Type)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}
