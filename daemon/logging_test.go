package daemon

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestLoggingConfigRefusals(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): pass\n")
	const levels = "Application and system log levels can only be set when LogFormat is set to JSON."
	for _, tc := range []struct {
		config     map[string]any
		code, text string
	}{
		{map[string]any{"LogFormat": "Text", "ApplicationLogLevel": "INFO"}, "InvalidParameterValueException", levels},
		{map[string]any{"SystemLogLevel": "WARN"}, "InvalidParameterValueException", levels},
		{map[string]any{"LogFormat": "XML"}, "ValidationException", "at 'loggingConfig.logFormat' failed to satisfy constraint"},
		{map[string]any{"LogFormat": "JSON", "ApplicationLogLevel": "LOUD"}, "ValidationException", "at 'loggingConfig.applicationLogLevel'"},
		{map[string]any{"LogFormat": "JSON", "SystemLogLevel": "TRACE"}, "ValidationException", "at 'loggingConfig.systemLogLevel'"},
		{map[string]any{"LogGroup": "a group"}, "ValidationException", "at 'loggingConfig.logGroup'"},
	} {
		for _, got := range []answer{
			h.createRaw(map[string]any{"FunctionName": "g", "LoggingConfig": tc.config}),
			h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"LoggingConfig": tc.config}), nil),
		} {
			e, _ := got["Error"].(map[string]any)
			if message, _ := e["Message"].(string); e["Code"] != tc.code || !strings.Contains(message, tc.text) {
				t.Errorf("%v: %v", tc.config, got)
			}
		}
	}
}

func TestRecordedLoggingConfig(t *testing.T) {
	h := start(t)
	create := func(name string, config map[string]any) answer {
		return h.createRaw(map[string]any{"FunctionName": name, "LoggingConfig": config, "MemorySize": 256, "Timeout": 5,
			"Environment": map[string]any{"Variables": map[string]any{}}})
	}
	update := func(name string, config map[string]any) answer {
		return h.call(http.MethodPut, functions+"/"+name+"/configuration", h.json(map[string]any{"LoggingConfig": config}), nil)
	}
	configuration := func(name string) answer { return h.call(http.MethodGet, functions+"/"+name+"/configuration", nil, nil) }
	json := map[string]any{"LogFormat": "JSON"}

	s := record(t, "lambda_api", "TestLoggingConfig::test_function_advanced_logging_configuration")
	same(t, s, "create_response", create("f", json), itsRuntime)
	h.waitActive("f")
	same(t, s, "get_function_response", h.getFunction("f"))
	same(t, s, "function_config", configuration("f"), itsRuntime)
	same(t, s, "updated_config", update("f", map[string]any{"LogGroup": "cool_lambda"}), itsRuntime)
	h.waitUpdated("f")
	same(t, s, "received_config", configuration("f"), itsRuntime)

	s = record(t, "lambda_api", "TestLoggingConfig::test_advanced_logging_configuration_format_switch")
	same(t, s, "create_response", create("g", nil), itsRuntime)
	h.waitActive("g")
	same(t, s, "get_function_response", h.getFunction("g"))
	same(t, s, "function_config", configuration("g"), itsRuntime)
	same(t, s, "updated_config", update("g", json), itsRuntime)
	h.waitUpdated("g")
	same(t, s, "received_config", configuration("g"), itsRuntime)
	same(t, s, "updated_config_v2", update("g", map[string]any{"LogFormat": "Text"}), itsRuntime)
	h.waitUpdated("g")
	same(t, s, "received_config_v2", configuration("g"), itsRuntime)

	// A level alone changes nothing else, and what was set before stays.
	update("f", map[string]any{"ApplicationLogLevel": "ERROR"})
	h.waitUpdated("f")
	got := update("f", map[string]any{"LogFormat": "JSON", "SystemLogLevel": "WARN"})["LoggingConfig"].(map[string]any)
	if got["ApplicationLogLevel"] != "ERROR" || got["SystemLogLevel"] != "WARN" || got["LogGroup"] != "cool_lambda" {
		t.Errorf("levels one by one: %v", got)
	}
}

// TestJSONLogs: a zygote and a cold start write the same records of JSON, and only those of the level.
func TestJSONLogs(t *testing.T) {
	h := start(t)
	const python = `
import logging, os
log = logging.getLogger("app")
def handler(event, context):
    log.info("quiet")
    log.warning("loud")
    return {"zygote": b"_HANDLER=" not in open("/proc/self/environ", "rb").read(), "format": os.environ["AWS_LAMBDA_LOG_FORMAT"]}
`
	const node = `
exports.handler = async () => {
  console.info('quiet');
  console.warn('loud');
  return {
    zygote: !require('fs').readFileSync('/proc/self/environ', 'utf8').includes('_HANDLER='), format: process.env.AWS_LAMBDA_LOG_FORMAT,
  };
};
`
	inJSON := func(in *lambda.CreateFunctionInput) {
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, ApplicationLogLevel: types.ApplicationLogLevelWarn}
	}
	for _, f := range []struct{ name, runtime, handler, file, source string }{
		{"python", h.python, "handler.handler", "handler.py", python}, {"node", h.node, "index.handler", "index.js", node},
	} {
		t.Run(f.name, func(t *testing.T) {
			if f.runtime == "" {
				t.Skip("its language is not installed")
			}
			files := map[string]string{f.file: f.source}
			h.create(f.name+"-zygote", f.runtime, f.handler, files, inJSON)
			h.create(f.name+"-cold", f.runtime, f.handler, files, inJSON, atStart)
			for _, name := range []string{f.name + "-zygote", f.name + "-cold"} {
				if said := h.saidBy(name, "{}", strings.HasSuffix(name, "zygote")); said["format"] != "JSON" {
					t.Errorf("%s: %v", name, said)
				}
				if got := warnings(t, h.invoke(name, "{}")); len(got) != 1 || got[0] != "WARN loud" {
					t.Errorf("%s logged %q", name, got)
				}
			}
		})
	}
}

// warnings are the application's records in an invocation's log tail.
func warnings(t *testing.T, out *lambda.InvokeOutput) (said []string) {
	t.Helper()
	tail, err := base64.StdEncoding.DecodeString(*out.LogResult)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(tail)) {
		var record struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &record); err == nil && record.Level != "" {
			said = append(said, strings.TrimSuffix(record.Level, "ING")+" "+record.Message)
		}
	}
	return said
}
