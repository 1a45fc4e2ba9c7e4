package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"bench", "expected"},
		{"bench f --clients 0", "at least 1"},
		{"bench f --count=-1", "not negative"},
		{"bench f --time=-1s", "not negative"},
		{"bench f --time=soon", "duration"},
	} {
		if _, err := parse(t, strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxEvent+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command benchCommand
		want    string
	}{
		"nothing has served": {benchCommand{dataDir: dataDir{DataDir: t.TempDir()}}, "hotaru serve"},
		"no such file":       {benchCommand{Against: "http://127.0.0.1:1", Payload: filepath.Join(t.TempDir(), "x")}, "no such file"},
		"too large":          {benchCommand{Against: "http://127.0.0.1:1", Payload: big}, "more than"},
		"no URL":             {benchCommand{Against: "ftp://127.0.0.1"}, "http://HOST"},
		"nobody listens":     {benchCommand{Against: "http://127.0.0.1:1"}, "refused"},
	} {
		c.command.Clients = 1
		err := c.command.measure(t.Context(), strings.NewReader(""), io.Discard, func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// emulator is an endpoint like the Runtime Interface Emulator's: one function, which nobody signs for.
func emulator(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body string)) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/function/invocations" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		answer(w, r, string(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestBenchAgainst(t *testing.T) {
	var n atomic.Int64
	url := emulator(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if r.Header.Get("Authorization") != "" || body != "from stdin" {
			t.Errorf("%s, signed %q", body, r.Header.Get("Authorization"))
		}
		switch n.Add(1) {
		case 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		case 3:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	c := benchCommand{Function: "function", Clients: 3, Count: 20, Against: url, Payload: "-", JSON: true, NoSignRequest: true}
	keys := func(string) string { return "set" }
	var out bytes.Buffer
	if err := c.measure(t.Context(), strings.NewReader("from stdin"), &out, keys); err != nil {
		t.Fatal(err)
	}
	var f benchFigures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if f.Clients != 3 || f.Succeeded != 17 || f.Throttled != 1 || f.FunctionErrors != 1 || f.Refused != 1 || f.Broken != 0 ||
		!strings.Contains(f.Error, "500") || f.P50 <= 0 || f.P99 < f.P50 || f.Max < f.P99 || f.Rate <= 0 {
		t.Errorf("%+v", f)
	}
}

func TestBenchSigns(t *testing.T) {
	var token, authorization atomic.Value
	url := emulator(t, func(_ http.ResponseWriter, r *http.Request, body string) {
		if body != "{}" {
			t.Errorf("%s", body)
		}
		authorization.Store(r.Header.Get("Authorization"))
		token.Store(r.Header.Get("X-Amz-Security-Token"))
	})
	run := func(c benchCommand, env map[string]string) string {
		t.Helper()
		c.Function, c.Clients, c.Count = "function", 1, 2
		var out bytes.Buffer
		if err := c.measure(t.Context(), nil, &out, func(name string) string { return env[name] }); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_SESSION_TOKEN": "T", "AWS_REGION": "eu-west-1"}
	out := run(benchCommand{Against: url}, env)
	if got := authorization.Load().(string); !strings.Contains(got, "Credential=AK/") || !strings.Contains(got, "/eu-west-1/lambda/") || token.Load() != "T" {
		t.Errorf("%s, token %s", got, token.Load())
	}
	if !strings.HasPrefix(out, "2 invocations, 1 at a time: p50 ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
	run(benchCommand{Against: url}, nil)
	if got := authorization.Load(); got != "" {
		t.Errorf("without a key: %s", got)
	}

	dir := t.TempDir()
	served(t, dir)
	endpoint := []byte(`{"url":"` + url + `","region":"eu-south-2"}`)
	if err := os.WriteFile(filepath.Join(dir, "endpoint.json"), endpoint, 0o600); err != nil {
		t.Fatal(err)
	}
	run(benchCommand{dataDir: dataDir{DataDir: dir}}, env)
	if got := authorization.Load().(string); strings.Contains(got, "Credential=AK/") || !strings.Contains(got, "/eu-south-2/lambda/") {
		t.Errorf("a data directory's root: %s", got)
	}
}

// TestBenchInterrupted prints what the load came to until then.
func TestBenchInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var n atomic.Int64
	url := emulator(t, func(http.ResponseWriter, *http.Request, string) {
		if n.Add(1) == 3 {
			interrupt()
		}
	})
	var out bytes.Buffer
	err := benchCommand{Function: "function", Clients: 1, Count: 1 << 30, Against: url}.measure(ctx, nil, &out, func(string) string { return "" })
	if err != nil || !strings.Contains(out.String(), "invocations") {
		t.Errorf("%v: %s", err, &out)
	}
}
