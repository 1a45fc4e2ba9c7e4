package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestAgainst sends the load to an endpoint like the Runtime Interface Emulator's.
func TestAgainst(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != greeting || r.URL.Path != "/2015-03-31/functions/function/invocations" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v %s %s %s", err, r.URL.Path, body, r.Header)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	o := options{warm: 20, clients: 3, load: 20 * time.Millisecond, against: againstOptions{server.URL, "function", greeting}}
	r := newReport(o)
	if err := measureAgainst(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 || r.Rows[0].N != 20 || r.Rows[0].Value <= 0 || r.Rows[1].Value <= 0 || r.Rows[1].Failure != "" {
		t.Errorf("%+v", r.Rows)
	}
	o.against.url = "http://127.0.0.1:1"
	if err := measureAgainst(t.Context(), o, newReport(o)); err == nil {
		t.Error("nobody listens, no error")
	}
}

func TestAgainstWithErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer server.Close()
	o := options{warm: 1, clients: 2, load: 10 * time.Millisecond, against: againstOptions{url: server.URL, function: "f"}}
	if err := measureAgainst(t.Context(), o, newReport(o)); err == nil {
		t.Error("one client: no error")
	}
}
