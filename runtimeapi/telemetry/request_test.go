package telemetry

import (
	"net/http"
	"testing"
	"time"
)

func TestRefusedRequests(t *testing.T) {
	const destination = `"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}`
	for _, tc := range []struct{ name, body, want string }{
		{"no JSON", `schemaVersion`, "request body is not a valid JSON object"},
		{"nothing", ``, "request body is not a valid JSON object"},
		{"a list", `[]`, "request body is not a valid JSON object"},
		{"two objects", `{} {}`, "request body is not a valid JSON object"},
		{"a number for a list", `{"types":1}`, "request body is not a valid JSON object"},
		{"an empty object", `{}`, "schemaVersion is not provided; destination is not provided; types should not be empty"},
		{
			"AWS's example", `{"schemaVersion":"2022-07-01","types":[],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain"}}`,
			"URI port is not provided; types should not be empty",
		},
		{"the other API's schema", `{"schemaVersion":"2020-08-15","types":["platform"],` + destination + `}`, `schemaVersion "2020-08-15" is not supported`},
		{"an unknown type", `{"schemaVersion":"2022-07-01","types":["platform","metrics"],` + destination + `}`, `type "metrics" is not supported`},
		{
			"beyond every bound", `{"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"maxItems":999,"maxBytes":1048577,"timeoutMs":24},` + destination + `}`,
			"maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000",
		},
	} {
		if _, wrong := parse([]byte(tc.body), false); wrong != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, wrong, tc.want)
		}
	}
}

func TestRefusedDestinations(t *testing.T) {
	for destination, want := range map[string]string{
		`{}`:                                                             "protocol is not provided",
		`{"protocol":"UDP","port":1}`:                                    `protocol "UDP" is not supported`,
		`{"protocol":"TCP"}`:                                             "port is not provided",
		`{"protocol":"TCP","port":0}`:                                    "port should be between 1 and 65535",
		`{"protocol":"TCP","port":65536}`:                                "port should be between 1 and 65535",
		`{"protocol":"TCP","port":9001}`:                                 "port 9001 is reserved",
		`{"protocol":"HTTP"}`:                                            "URI is not provided",
		`{"protocol":"HTTP","URI":"::"}`:                                 "URI is not valid",
		`{"protocol":"HTTP","URI":"http:a"}`:                             "URI is not valid",
		`{"protocol":"HTTP","URI":"https://sandbox:1"}`:                  "URI scheme should be http",
		`{"protocol":"HTTP","URI":"http://example.com:80"}`:              "URI host should be sandbox.localdomain",
		`{"protocol":"HTTP","URI":"http://169.254.169.254:80"}`:          "URI host should be sandbox.localdomain",
		`{"protocol":"HTTP","URI":"http://u:p@sandbox:80"}`:              "URI is not valid",
		`{"protocol":"HTTP","URI":"http://sandbox:0"}`:                   "URI port is not valid",
		`{"protocol":"HTTP","URI":"http://sandbox:70000"}`:               "URI port is not valid",
		`{"protocol":"HTTP","URI":"http://sandbox:9001/"}`:               "port 9001 is reserved",
		`{"protocol":"HTTP","URI":"http://sandbox:1","method":"GET"}`:    `method "GET" is not supported`,
		`{"protocol":"HTTP","URI":"http://sandbox:1","encoding":"CBOR"}`: `encoding "CBOR" is not supported`,
	} {
		body := `{"schemaVersion":"2025-01-29","types":["function"],"destination":` + destination + `}`
		if _, wrong := parse([]byte(body), false); wrong != want {
			t.Errorf("%s: %q, want %q", destination, wrong, want)
		}
	}
}

func TestAcceptedRequests(t *testing.T) {
	sub, wrong := parse([]byte(`{"types":["platform","function","platform"],"destination":{"protocol":"TCP","port":8080},"buffering":{}}`), true)
	if wrong != "" || sub.schema != Logs20200815 || !sub.tcp || sub.port != 8080 || len(sub.types) != 2 ||
		sub.items != 10_000 || sub.bytes != 262_144 || sub.timeout != time.Second {
		t.Errorf("%q %+v", wrong, sub)
	}
	sub, wrong = parse([]byte(`{"schemaVersion":"2022-12-13","types":["extension"],
		"buffering":{"maxItems":1000,"maxBytes":1048576,"timeoutMs":30000},
		"destination":{"protocol":"HTTP","URI":"http://sandbox:4243/a%2Fb?c","method":"PUT","encoding":"JSON"}}`), false)
	if wrong != "" || sub.schema != Telemetry20221213 || sub.port != 4243 || sub.path != "/a%2Fb?c" || !sub.put ||
		sub.items != 1_000 || sub.bytes != 1<<20 || sub.timeout != 30*time.Second || sub.authority != "sandbox:4243" {
		t.Errorf("%q %+v", wrong, sub)
	}
}

// Whatever parses is within the bounds, and whatever is refused says why.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"2022-12-13","types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox:1/x"}}`), false)
	f.Add([]byte(`{"types":["function"],"buffering":{"maxItems":1000},"destination":{"protocol":"TCP","port":5}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, logs bool) {
		sub, wrong := parse(body, logs)
		if wrong != "" {
			return
		}
		if sub.schema.logs() != logs || sub.schema == 0 || len(sub.types) == 0 || len(sub.types) > 3 || sub.port == 0 || sub.port == reservedPort {
			t.Errorf("%q: %+v", body, sub)
		}
		if sub.items < minItems || sub.items > maxItems || sub.bytes < minBytes || sub.bytes > maxBytes ||
			sub.timeout < minTimeout*time.Millisecond || sub.timeout > maxTimeout*time.Millisecond {
			t.Errorf("%q: %+v", body, sub)
		}
		if sub.tcp {
			return
		}
		to, ok := newDestination(sub, nil).(*poster)
		if !ok {
			t.Fatalf("%q: %+v", body, sub)
		}
		if _, err := http.NewRequest(to.method, to.url, nil); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	})
}
