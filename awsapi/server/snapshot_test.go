package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/protocol"
)

// The SDK's module carries what it sends and expects for every operation, with every member filled. Each request must
// decode to all of its members, each response must be what we encode, each error must be what we write.

func snapshots(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/lambda").Output()
	if err != nil {
		t.Skipf("the SDK's module is not here: %v", err)
	}
	dir := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(dir, "request_snapshot")); err != nil {
		t.Skip(err)
	}
	return dir
}

// message is a snapshot: a first line, headers, a body.
type message struct {
	first  string
	header http.Header
	body   []byte
}

func readSnapshot(t *testing.T, path string, headersAfterBlank bool) message {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	if headersAfterBlank {
		rest = strings.TrimPrefix(rest, "\n")
	}
	m := message{first: first, header: http.Header{}}
	head, body, _ := strings.Cut("\n"+rest, "\n\n")
	for line := range strings.SplitSeq(strings.TrimSpace(head), "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			m.header.Set(name, value)
		}
	}
	m.body = []byte(body)
	return m
}

func boundLambda(t *testing.T) *service {
	t.Helper()
	s, err := bind(lambda.Handlers{}.Binding())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSDKRequestSnapshots(t *testing.T) {
	dir, s := snapshots(t), boundLambda(t)
	for _, op := range s.operations {
		t.Run(op.Name, func(t *testing.T) {
			if op.Name == "InvokeWithResponseStream" {
				t.Skip("the SDK has no snapshot of it: TestSDKStreamSnapshots makes one")
			}
			m := readSnapshot(t, filepath.Join(dir, "request_snapshot", op.Name+".request.snap"), true)
			if err := op.ready(); err != nil {
				t.Fatal(err)
			}
			method, target, _ := strings.Cut(m.first, " ")
			r := httptest.NewRequest(method, target, bytes.NewReader(m.body))
			r.Header = m.header
			match, ok := s.router.Find(method, r.URL.EscapedPath(), r.URL.RawQuery)
			if !ok || s.operations[match.ID] != op {
				t.Fatalf("%s is routed to %d", m.first, match.ID)
			}
			input := reflect.ValueOf(op.handler.New()).Elem()
			request := &protocol.Request{HTTP: r, Match: match, Body: m.body, Stream: bytes.NewReader(m.body)}
			if err := s.dialects[0].Decode(&op.Operation, request, input); err != nil {
				t.Fatal(err)
			}
			for i := range op.Input.Fields {
				f := &op.Input.Fields[i]
				if _, ok := plan.Present(f.Of(input)); !ok {
					t.Errorf("%s is not decoded from\n%s\n%v\n%s", f.Name, m.first, m.header, m.body)
				}
			}
			if op.Input.Payload == nil && len(op.Input.Body) > 0 {
				encoder := &jsonwire.Encoder{Timestamp: awsapi.TimestampEpoch}
				sameJSON(t, m.body, encoder.AppendStructure(nil, op.Input, input))
			}
		})
	}
}

func sameJSON(t *testing.T, want, got []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(want, &a); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if err := json.Unmarshal(got, &b); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("JSON (-want +got)\n%s", d)
	}
}

func TestSDKResponseSnapshots(t *testing.T) {
	dir, s := snapshots(t), boundLambda(t)
	for _, op := range s.operations {
		t.Run(op.Name, func(t *testing.T) {
			if op.Name == "InvokeWithResponseStream" {
				t.Skip("its body is an event stream: TestSDKStreamSnapshots reads one with the SDK")
			}
			m := readSnapshot(t, filepath.Join(dir, "response_snapshot", op.Name+".response.snap"), false)
			if err := op.ready(); err != nil {
				t.Fatal(err)
			}
			output := reflect.New(op.Output.Type).Elem()
			fillOutput(t, op.Output, m, output)
			a, err := s.dialects[0].Encode(&op.Operation, output, "id")
			if err != nil {
				t.Fatal(err)
			}
			for name := range m.header {
				if want, got := m.header.Get(name), a.Header.Get(name); want != got {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			switch {
			case op.Output.StatusCode != nil && op.Output.Payload == nil:
				// The snapshot has the status in the body, where no server puts it.
				if string(a.Body) != "{}" {
					t.Errorf("body is %s", a.Body)
				}
			case op.Output.Payload != nil:
				if !bytes.Equal(m.body, a.Body) {
					t.Errorf("body is %s, want %s", a.Body, m.body)
				}
			case len(m.body) > 0:
				sameJSON(t, m.body, a.Body)
			}
		})
	}
}

// fillOutput puts into an output what a snapshot says.
func fillOutput(t *testing.T, p *plan.Plan, m message, output reflect.Value) {
	t.Helper()
	whole := &plan.Field{Member: &awsapi.Member{}, Plan: p}
	switch {
	case p.Payload != nil:
		p.Payload.Of(output).SetBytes(m.body)
	case len(m.body) > 0:
		if err := (&jsonwire.Decoder{Timestamp: awsapi.TimestampEpoch}).Decode(m.body, whole, output); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range p.Header {
		if err := f.ParseText(f.Of(output), m.header.Get(f.Wire), awsapi.TimestampHTTP); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSDKErrorSnapshots(t *testing.T) {
	dir, s := snapshots(t), boundLambda(t)
	found, err := filepath.Glob(filepath.Join(dir, "response_snapshot", "*.error.snap"))
	if err != nil || len(found) < 50 {
		t.Fatalf("%d errors: %v", len(found), err)
	}
	for _, path := range found {
		code := strings.TrimSuffix(filepath.Base(path), ".error.snap")
		t.Run(code, func(t *testing.T) {
			m := readSnapshot(t, path, false)
			fields := map[string]any{}
			if err := json.Unmarshal(m.body, &fields); err != nil {
				t.Fatal(err)
			}
			delete(fields, "__type") // Lambda itself names the error in a header alone.
			if m.body, err = json.Marshal(fields); err != nil {
				t.Fatal(err)
			}
			if after := m.header.Get("Retry-After"); after != "" {
				fields["retryAfterSeconds"] = after
			}
			f := protocol.FailureOf(s.Service, &awsapi.Error{Code: code, Fields: fields})
			a := s.dialects[0].EncodeFailure(s.Service, f, "id")
			if status, err := strconv.Atoi(strings.TrimSpace(m.first)); err != nil || a.Status != status {
				t.Errorf("status is %d, want %s", a.Status, m.first)
			}
			if got := a.Header.Get("X-Amzn-Errortype"); got != code {
				t.Errorf("error type is %q", got)
			}
			if after := m.header.Get("Retry-After"); a.Header.Get("Retry-After") != after {
				t.Errorf("Retry-After is %q, want %q", a.Header.Get("Retry-After"), after)
			}
			sameJSON(t, m.body, a.Body)
		})
	}
}
