package environmenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

const extensionsAPI = "/2020-01-01/extension"

// Event is what an extension is told.
type Event struct {
	EventType      string
	RequestID      string
	DeadlineMs     int64
	ShutdownReason string
}

// Register registers as an extension for events, "INVOKE" or "SHUTDOWN": an external one under its own name, or an
// internal one of the runtime under another.
func (p *Program) Register(ctx context.Context, name string, events ...string) error {
	if name == "" {
		name = p.name
	}
	quoted := make([]string, len(events))
	for i, event := range events {
		quoted[i] = fmt.Sprintf("%q", event)
	}
	answer, err := p.do(ctx, http.MethodPost, extensionsAPI+"/register", `{"events":[`+strings.Join(quoted, ",")+`]}`,
		map[string]string{"Lambda-Extension-Name": name})
	if err != nil {
		return err
	}
	if p.id = answer.Header.Get("Lambda-Extension-Identifier"); p.id == "" {
		return fmt.Errorf("register: %d %s", answer.StatusCode, answer.body)
	}
	return nil
}

// NextEvent asks for an extension's event. ok is false when there is none any more.
func (p *Program) NextEvent(ctx context.Context) (event Event, ok bool) {
	answer, err := p.do(ctx, http.MethodGet, extensionsAPI+"/event/next", "", map[string]string{"Lambda-Extension-Identifier": p.id})
	if err != nil || answer.StatusCode != http.StatusOK {
		return event, false
	}
	return event, json.Unmarshal([]byte(answer.body), &event) == nil
}

// FailExtension reports an extension's error at "/init/error" or "/exit/error".
func (p *Program) FailExtension(ctx context.Context, path, kind string) {
	_, _ = p.do(ctx, http.MethodPost, extensionsAPI+path, "{}", map[string]string{
		"Lambda-Extension-Identifier": p.id, "Lambda-Extension-Function-Error-Type": kind,
	})
}

// Subscribe subscribes to telemetry, at a path like "/2022-07-01/telemetry".
func (p *Program) Subscribe(ctx context.Context, path, body string) error {
	answer, err := p.do(ctx, http.MethodPut, path, body, map[string]string{"Lambda-Extension-Identifier": p.id})
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("subscribe: %d %s", answer.StatusCode, answer.body)
	}
	return err
}
