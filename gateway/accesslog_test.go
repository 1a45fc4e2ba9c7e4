package gateway

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lines are the access log's.
func lines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for text := range strings.Lines(text) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if line["msg"] == "request" {
			found = append(found, line)
		}
	}
	return found
}

// TestAccessLog: one line per request at Info where it is wanted, none otherwise, and never a secret.
func TestAccessLog(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		var log logBuffer
		r := start(t, func(o *Options) {
			o.AccessLog = wanted
			o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) // Info, as the command does
			o.CORSOrigins = []string{"https://app.example"}
		})
		client := r.client()
		url := "http://" + r.address
		ok, _ := r.do(client, r.request(http.MethodPost, url+invokePath+"?Qualifier=query-secret", []byte(`"body-secret"`)))
		r.do(client, r.request(http.MethodGet, url+"/nowhere/"+strings.Repeat("x", 1000)+"%0Aforged", nil))
		location, err := Location(url, account, "us-east-1", "echo", "good", r.root, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{location, strings.Replace(location, "good", "lost", 1)} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Sec-Fetch-Site", "cross-site") // a link on any page may lead to it
			r.do(client, request)
		}
		wrong := r.request(http.MethodPost, url+invokePath, nil)
		wrong.Host = "evil.example"
		misdirected, _ := r.do(client, wrong)
		if err := r.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		found := lines(t, log.String())
		if !wanted {
			if len(found) > 0 {
				t.Errorf("unwanted lines: %v", found)
			}
			continue
		}
		if len(found) != 5 {
			t.Fatalf("%d lines:\n%s", len(found), log.String())
		}
		check := func(i int, want map[string]any) {
			t.Helper()
			for name, value := range want {
				if found[i][name] != value {
					t.Errorf("line %d: %s is %v, want %v", i, name, found[i][name], value)
				}
			}
		}
		check(0, map[string]any{
			"method": "POST", "path": invokePath, "service": "lambda", "operation": "Invoke", "status": 200.0, "code": "", "bytes": 13.0,
			"request": ok.Header.Get("X-Amzn-Requestid"), "caller": "arn:aws:iam::" + account + ":root", "source": "127.0.0.1", "level": "INFO",
		})
		check(1, map[string]any{"status": 404.0, "code": "UnknownOperationException"})
		if path := found[1]["path"].(string); len(path) > 600 || strings.Contains(path, "\n") {
			t.Errorf("the path has %d bytes", len(path))
		}
		check(2, map[string]any{"operation": "DownloadPackage", "status": 200.0, "bytes": 7.0})
		check(3, map[string]any{"operation": "DownloadPackage", "status": 403.0, "code": "AccessDenied"})
		check(4, map[string]any{
			"status": 421.0, "code": "MisdirectedRequestException", "host": "evil.example", "request": misdirected.Header.Get("X-Amzn-Requestid"),
		})
		for _, secret := range []string{"query-secret", "body-secret", "Signature", "X-Amz", "Credential", r.root.SecretAccessKey} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log has %s:\n%s", secret, log.String())
			}
		}
		if bytes.Contains([]byte(log.String()), []byte("AWS4")) {
			t.Error("the log has a signature")
		}
	}
}
