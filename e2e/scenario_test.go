package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// step is one thing that every client does: it calls an operation, waits with its own waiter, or reads pages with its
// own paginator. Exactly one of Call, Wait and Pages is set, to "service.Name".
type step struct {
	Step string `json:"step"`
	// As is who signs: root ("" too), stranger (an unknown access key), impostor (a wrong secret) or nobody.
	As    string `json:"as,omitempty"`
	Call  string `json:"call,omitempty"`
	Wait  string `json:"wait,omitempty"`
	Pages string `json:"pages,omitempty"`
	// Size is how many items a page holds.
	Size int `json:"size,omitempty"`
	// Except are the clients that refuse this by themselves, before they ask anybody.
	Except []string `json:"except,omitempty"`
	// Input is the operation's. A blob is {"$blob": base64}, or {"$letters": n}: a JSON text of n letters x.
	Input map[string]any `json:"input"`
}

// target splits what the step asks for: "lambda", "Invoke".
func (s step) target() (service, name string) {
	service, name, _ = strings.Cut(s.Call+s.Wait+s.Pages, ".")
	return service, name
}

// seen is what a client saw of a step. Exactly one of Output, Error, Pages, Done and Failed is set; Output is
// empty where an answer says nothing.
type seen struct {
	Step   string         `json:"step"`
	Status int            `json:"status,omitempty"`
	Output map[string]any `json:"output,omitempty"`
	Error  *refusal       `json:"error,omitempty"`
	Pages  []any          `json:"pages,omitempty"`
	// Done: the client's waiter is content.
	Done bool `json:"done,omitempty"`
	// Failed is what the client said where no answer of the server's is the cause.
	Failed string `json:"failed,omitempty"`
}

type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// errand is what a client is told: the scenario with everything filled in, and where to go with it.
type errand struct {
	Endpoint    string               `json:"endpoint"`
	Region      string               `json:"region"`
	Credentials map[string][2]string `json:"credentials"`
	Steps       []step               `json:"steps"`

	server *client.Server
	packs  packs
	python string
}

// packs are the deployment packages by name.
type packs map[string][]byte

// digests maps CodeSha256 to the name of its deployment package.
func (p packs) digests() map[string]string {
	names := map[string]string{}
	for name, pack := range p {
		sum := sha256.Sum256(pack)
		names[base64.StdEncoding.EncodeToString(sum[:])] = name
	}
	return names
}

const handler = `import json, os

def handler(event, context):
    print("event", json.dumps(event)[:100])
    if isinstance(event, str):
        return len(event)
    if isinstance(event, dict) and "letters" in event:
        return "x" * event["letters"]
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("boom")
    return {"echo": event, "code": "%CODE%", "version": context.function_version,
            "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
            "greeting": os.environ.get("GREETING")}
`

// newErrand reads the scenario and fills in what depends on the machine and the server.
func newErrand(t *testing.T, w *world, walker string) *errand {
	t.Helper()
	e := &errand{
		Endpoint: w.Endpoint.URL, Region: w.Endpoint.Region, server: w.Server, packs: packs{}, python: w.python(),
		Credentials: map[string][2]string{
			"root":     {w.Endpoint.AccessKeyID, w.Endpoint.SecretAccessKey},
			"stranger": {"AKIAIOSFODNN7EXAMPLE", w.Endpoint.SecretAccessKey},
			"impostor": {w.Endpoint.AccessKeyID, "wrong"},
		},
	}
	for _, code := range []string{"first", "second"} {
		pack, err := sample.Zip(map[string]string{"app.py": strings.ReplaceAll(handler, "%CODE%", code)})
		if err != nil {
			t.Fatal(err)
		}
		e.packs[code] = pack
	}
	text, err := os.ReadFile(filepath.Join("clients", "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &e.Steps); err != nil {
		t.Fatal(err)
	}
	e.Steps = slices.DeleteFunc(e.Steps, func(s step) bool { return slices.Contains(s.Except, walker) })
	names := map[string]bool{}
	for i, s := range e.Steps {
		if names[s.Step] {
			t.Fatalf("two steps are called %q", s.Step)
		}
		names[s.Step] = true
		e.Steps[i].Input = e.fill(t, s.Input).(map[string]any)
	}
	return e
}

// fill replaces what the scenario leaves open: the runtime "$python", {"$zip": name} and {"$text": text}.
func (e *errand) fill(t *testing.T, value any) any {
	switch v := value.(type) {
	case string:
		if v == "$python" {
			return e.python
		}
	case []any:
		for i := range v {
			v[i] = e.fill(t, v[i])
		}
	case map[string]any:
		if text, ok := v["$text"].(string); ok {
			return blob([]byte(text))
		}
		if name, ok := v["$zip"].(string); ok {
			if e.packs[name] == nil {
				t.Fatalf("no deployment package is called %q", name)
			}
			return blob(e.packs[name])
		}
		for name := range v {
			v[name] = e.fill(t, v[name])
		}
	}
	return value
}

func blob(b []byte) map[string]any {
	return map[string]any{"$blob": base64.StdEncoding.EncodeToString(b)}
}

// bytesOf reads a blob in either form.
func bytesOf(value any) ([]byte, bool) {
	wrapped, _ := value.(map[string]any)
	if n, ok := wrapped["$letters"].(float64); ok {
		return []byte(`"` + strings.Repeat("x", int(n)) + `"`), true
	}
	encoded, ok := wrapped["$blob"].(string)
	content, err := base64.StdEncoding.DecodeString(encoded)
	return content, ok && err == nil
}
