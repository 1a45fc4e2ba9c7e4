package extensions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"hotaru/runtimeapi/refusal"
)

// Prefix is where the Extensions API begins.
const Prefix = "/2020-01-01/extension/"

const (
	headerName       = "Lambda-Extension-Name"
	headerIdentifier = "Lambda-Extension-Identifier"
	headerErrorType  = "Lambda-Extension-Function-Error-Type"
	headerFeature    = "Lambda-Extension-Accept-Feature"
	headerEvent      = "Lambda-Extension-Event-Identifier"

	// maxBody bounds a request's body in bytes, maxName an extension's name and maxErrorType what it fails with.
	maxBody, maxName, maxErrorType = 64 << 10, 255, 256
)

// ServeHTTP answers the Extensions API.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var serve func(http.ResponseWriter, *http.Request)
	method := http.MethodPost
	switch strings.TrimPrefix(r.URL.Path, Prefix) {
	case "register":
		serve = g.register
	case "event/next":
		serve, method = g.next, http.MethodGet
	case "init/error":
		serve = func(w http.ResponseWriter, r *http.Request) { g.fault(w, r, initError, initError) }
	case "exit/error":
		serve = func(w http.ResponseWriter, r *http.Request) { g.fault(w, r, exitError, exited) }
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	serve(w, r)
}

func refuse(w http.ResponseWriter, kind, format string, args ...any) {
	refusal.Write(w, http.StatusForbidden, kind, fmt.Sprintf(format, args...))
}

// refuseTransition refuses what an extension in that state cannot do.
func refuseTransition(w http.ResponseWriter, from, to state, who string) {
	refuse(w, "Extension.InvalidExtensionState",
		"State transition from %s to %s failed for extension %s. Error: State transition is not allowed", from, to, who)
}

func (g *Registry) register(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(headerName)
	if name == "" || len(name) > maxName {
		refuse(w, "Extension.InvalidExtensionName", "Empty extension name")
		return
	}
	var request struct {
		Events            []Event  `json:"events"`
		ConfigurationKeys []string `json:"configurationKeys"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err == nil && len(request.ConfigurationKeys) > 0 {
		err = errors.New("configurationKeys are deprecated; use environment variables instead")
	}
	if err != nil {
		refuse(w, "InvalidRequestFormat", "%s", err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.externalLocked(name)
	for _, event := range request.Events {
		if event != Invoke && (event != Shutdown || x == nil) {
			refuse(w, "Extension.InvalidEventType", "%s: ErrorInvalidEventType", event)
			return
		}
	}
	if x == nil {
		if x = g.internalLocked(w, name); x == nil {
			return
		}
	}
	if x.state != started {
		refuseTransition(w, x.state, registered, name)
		return
	}
	slices.Sort(request.Events)
	x.state, x.events = registered, slices.Compact(request.Events)
	g.changeLocked()
	g.welcome(w, r, x)
}

// internalLocked adds an internal extension, or refuses it and returns nil.
func (g *Registry) internalLocked(w http.ResponseWriter, name string) *extension {
	taken := slices.ContainsFunc(g.extensions, func(x *extension) bool { return x.name == name })
	switch {
	case g.closed:
		refuse(w, "Extension.RegistrationClosed", "Extension registration closed already")
	case len(g.extensions) >= MaxExtensions:
		refuse(w, "Extension.TooManyExtensions", "Extension limit (%d) reached", MaxExtensions)
	case taken:
		refuse(w, "Extension.InvalidExtensionState", "Extension with this name already registered")
	default:
		x := &extension{name: name, id: uuid.New(), state: started}
		g.extensions = append(g.extensions, x)
		return x
	}
	return nil
}

// welcome answers a registration.
func (g *Registry) welcome(w http.ResponseWriter, r *http.Request, x *extension) {
	answer := struct {
		FunctionName    string `json:"functionName"`
		FunctionVersion string `json:"functionVersion"`
		Handler         string `json:"handler"`
		AccountID       string `json:"accountId,omitempty"`
	}{g.function.Name, g.function.Version, g.function.Handler, ""}
	for feature := range strings.SplitSeq(r.Header.Get(headerFeature), ",") {
		if strings.TrimSpace(feature) == "accountId" {
			answer.AccountID = g.function.AccountID
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set(headerIdentifier, x.id.String())
	refusal.Reply(w, http.StatusOK, append(body, '\n'))
}

// Identify says which extension a request is from, or refuses it.
func (g *Registry) Identify(w http.ResponseWriter, r *http.Request) (name string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.identifyLocked(w, r, "extension %s")
	if x == nil {
		return "", false
	}
	return x.name, true
}

// identifyLocked is the extension of a request's identifier; nil if it has refused it. unknown is what follows
// "Unknown" in that case, with the identifier where it has a place for it.
func (g *Registry) identifyLocked(w http.ResponseWriter, r *http.Request, unknown string) *extension {
	text := r.Header.Get(headerIdentifier)
	if text == "" {
		refuse(w, "Extension.MissingExtensionIdentifier", "Missing %s header", headerIdentifier)
		return nil
	}
	id, err := uuid.Parse(text)
	if err != nil {
		refuse(w, "Extension.InvalidExtensionIdentifier", "Invalid %s", headerIdentifier)
		return nil
	}
	for _, x := range g.extensions {
		if x.id == id && x.state != started {
			return x
		}
	}
	refuse(w, "Extension.UnknownExtensionIdentifier", "Unknown %s", strings.Replace(unknown, "%s", id.String(), 1))
	return nil
}

// next is an extension that has nothing to do and asks for its next event.
func (g *Registry) next(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	x := g.identifyLocked(w, r, "extension %s")
	if x == nil {
		g.mu.Unlock()
		return
	}
	// One that asks again while its first request is held has two minds; one whose connection is gone has not.
	if x.state != registered && x.state != running && (x.state != ready || x.waiting) {
		defer g.mu.Unlock()
		refuseTransition(w, x.state, ready, x.id.String())
		return
	}
	if x.state == running {
		x.owes = false
	}
	x.state, x.waiting = ready, true
	g.changeLocked()
	for x.event == nil {
		changed, over := g.changed, g.ended || x.state != ready
		g.mu.Unlock()
		if !over {
			select {
			case <-changed:
			case <-r.Context().Done():
				over = true
			}
		}
		g.mu.Lock()
		if over {
			x.waiting = false
			g.changeLocked()
			g.mu.Unlock()
			panic(http.ErrAbortHandler) // an answer would be taken for an event
		}
	}
	event := x.event
	x.event, x.state, x.waiting = nil, running, false
	id := x.id.String()
	g.mu.Unlock()
	w.Header().Set(headerIdentifier, id)
	w.Header().Set(headerEvent, uuid.NewString())
	refusal.Reply(w, http.StatusOK, event)
}

// fault is an extension that cannot go on. failed is the state it is in then, and named how the refusal calls that.
func (g *Registry) fault(w http.ResponseWriter, r *http.Request, failed, named state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.identifyLocked(w, r, headerIdentifier)
	if x == nil {
		return
	}
	kind := r.Header.Get(headerErrorType)
	if kind == "" {
		refuse(w, "Extension.MissingHeader", "%s not found", headerErrorType)
		return
	}
	able := x.state == registered || failed == exitError && (x.state == ready || x.state == running)
	switch {
	case x.state == failed: // the first error stays
	case !able:
		refuseTransition(w, x.state, named, x.id.String())
		return
	default:
		x.state, x.errorType, x.faulted = failed, kind[:min(len(kind), maxErrorType)], time.Now()
		g.changeLocked()
	}
	refusal.Accepted(w)
}

func invokeEvent(in Invocation) []byte {
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	return marshal(struct {
		EventType   Event   `json:"eventType"`
		DeadlineMs  int64   `json:"deadlineMs"`
		RequestID   string  `json:"requestId"`
		FunctionARN string  `json:"invokedFunctionArn"`
		Tracing     tracing `json:"tracing"`
	}{Invoke, in.Deadline.UnixMilli(), in.RequestID, in.FunctionARN, tracing{"X-Amzn-Trace-Id", in.TraceID}})
}

func shutdownEvent(reason string, deadline time.Time) []byte {
	return marshal(struct {
		EventType  Event  `json:"eventType"`
		DeadlineMs int64  `json:"deadlineMs"`
		Reason     string `json:"shutdownReason"`
	}{Shutdown, deadline.UnixMilli(), reason})
}

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return body
}
