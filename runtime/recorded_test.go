package runtime_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtimeapi"
)

// TestRecordedPython compares with what Lambda itself has answered and logged for the same code.
func TestRecordedPython(t *testing.T) {
	const raised = "[ERROR] CustomException: some error occurred\nTraceback (most recent call last):\n" +
		"\u00a0\u00a0File \"/var/task/handler.py\", line 6, in handler\n" +
		"\u00a0\u00a0\u00a0\u00a0raise CustomException(\"some error occurred\")"
	const intentional = `{"errorMessage":"intentional failure","errorType":"Exception","requestId":"request-1","stackTrace":[` +
		`"  File \"/var/task/handler.py\", line 7, in handler\n    raise Exception(\"intentional failure\")\n"]}`
	const startup = `{"errorMessage":"Runtime startup fails","errorType":"Exception","requestId":"","stackTrace":[` +
		`"  File \"/var/lang/lib/python3.13/importlib/__init__.py\", line 88, in import_module\n    return _bootstrap._gcd_import(name[level:], package, level)\n",` +
		`"  File \"<frozen importlib._bootstrap>\", line 1387, in _gcd_import\n",` +
		`"  File \"<frozen importlib._bootstrap>\", line 1360, in _find_and_load\n",` +
		`"  File \"<frozen importlib._bootstrap>\", line 1331, in _find_and_load_unlocked\n",` +
		`"  File \"<frozen importlib._bootstrap>\", line 935, in _load_unlocked\n",` +
		`"  File \"<frozen importlib._bootstrap_external>\", line 1027, in exec_module\n",` +
		`"  File \"<frozen importlib._bootstrap>\", line 488, in _call_with_frames_removed\n",` +
		`"  File \"/var/task/lambda_runtime_error.py\", line 1, in <module>\n    raise Exception(\"Runtime startup fails\")\n"]}`
	for _, test := range []struct{ name, file, source, log, answer string }{
		{"raised", "handler.py", "class CustomException(Exception):\n    pass\n\n\ndef handler(event, context):\n    raise CustomException(\"some error occurred\")\n", raised, ""},
		{"intentional", "handler.py", "\n\n\n\n\ndef handler(event, context):\n    raise Exception(\"intentional failure\")\n", "", intentional},
		{"startup", "lambda_runtime_error.py", "raise Exception(\"Runtime startup fails\")\n", "", startup},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := resolve(t, "python3.13")
			task := filepath.Join(t.TempDir(), "task")
			write(t, filepath.Join(task, test.file), test.source)
			var logged []string
			p := launchWith(t, r, task, strings.TrimSuffix(test.file, ".py")+".handler", nil, nil, keep(func(record string) {
				logged = append(logged, strings.ReplaceAll(record, task, "/var/task"))
			}))
			err := p.session.Init(t.Context(), p.start)
			if err == nil {
				_, err = p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "request-1", Payload: []byte("{}")})
			}
			if test.log != "" && (len(logged) != 1 || logged[0] != test.log) {
				t.Errorf("log (-recorded +got): %s", cmp.Diff([]string{test.log}, logged))
			}
			if test.answer != "" {
				sameError(t, test.answer, err, p)
			}
		})
	}
}

// TestRecordedNode compares the shape of an error: Lambda's stack traces were not recorded.
func TestRecordedNode(t *testing.T) {
	r := resolve(t, "nodejs20.x")
	task := filepath.Join(t.TempDir(), "task")
	write(t, filepath.Join(task, "index.js"), "exports.handler = async (event) => { throw new Error('Error: ' + event.error_msg); };\n")
	p := launch(t, r, task, "index.handler", nil, nil)
	if err := p.init(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte(`{"error_msg":"some_error_msg"}`)})
	fault, ok := err.(*runtimeapi.FunctionError)
	if !ok || !strings.HasPrefix(string(fault.Payload), `{"errorType":"Error","errorMessage":"Error: some_error_msg","trace":["Error: Error: some_error_msg",`) {
		t.Errorf("%v %s", err, fault.Payload)
	}
}

type keep func(string)

func (f keep) Log(record []byte) { f(string(record)) }

// lines are where the interpreter's own files have their functions: they move with its patch version.
var lines = regexp.MustCompile(`((?:/var/lang/[^"]*|<frozen [^"]*)", line )\d+`)

func sameError(t *testing.T, want string, err error, p *process) {
	t.Helper()
	fault, ok := err.(*runtimeapi.FunctionError)
	if !ok {
		t.Fatalf("%v, want a function error", err)
	}
	decode := func(text string) any {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		list := v.(map[string]any)["stackTrace"].([]any)
		for i := range list {
			list[i] = lines.ReplaceAllString(list[i].(string), "${1}N")
		}
		return v
	}
	got := strings.ReplaceAll(string(fault.Payload), filepath.Dir(filepath.Dir(p.cmd.Path)), "/var/lang")
	got = strings.ReplaceAll(got, p.task, "/var/task")
	if diff := cmp.Diff(decode(want), decode(got)); diff != "" {
		t.Errorf("answer (-recorded +got): %s", diff)
	}
}
