package extensions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// api is a registry with a client.
type api struct {
	*Registry
	t      *testing.T
	url    string
	client *http.Client
	ids    map[string]string // identifiers by name
}

func serve(t *testing.T) *api {
	g := New(Function{Name: "hello", Version: "$LATEST", Handler: "app.handler", AccountID: "123456789012"})
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		g.Close()
		server.Close()
	})
	return &api{g, t, server.URL, server.Client(), map[string]string{}}
}

// do sends a request as an extension: headers are names and values in turn. An empty answer is none at all.
func (a *api) do(method, path, body string, headers ...string) (answer string) {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.url+Prefix+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := a.client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	if id := response.Header.Get(headerIdentifier); id != "" && path == "register" {
		a.ids[request.Header.Get(headerName)] = id
	}
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(text)))
}

func (a *api) register(name, events string, headers ...string) string {
	a.t.Helper()
	return a.do(http.MethodPost, "register", `{"events":[`+events+`]}`, append(headers, headerName, name)...)
}

func (a *api) fault(name, path, kind string) string {
	a.t.Helper()
	return a.do(http.MethodPost, path, "{}", headerIdentifier, a.ids[name], headerErrorType, kind)
}

// next asks for an event, in the background.
func (a *api) next(name string) <-chan string {
	answer := make(chan string, 1)
	id := a.ids[name]
	go func() { answer <- a.do(http.MethodGet, "event/next", "", headerIdentifier, id) }()
	return answer
}

func (a *api) expect(name string) {
	a.t.Helper()
	if err := a.Expect(name); err != nil {
		a.t.Fatal(err)
	}
}

// await waits for a state.
func (a *api) await(name string, want state) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	err := a.Registry.await(ctx, func() bool {
		for _, x := range a.extensions {
			if x.name == name && x.state == want {
				return true
			}
		}
		return false
	})
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		a.t.Fatalf("%s is not %s: %+v", name, want, a.Infos())
	}
}

// ids are what differs from run to run.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got = ids.ReplaceAllString(got, "ID"); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestRefusals(t *testing.T) {
	a := serve(t)
	a.expect("ext")
	const unknown = "00000000-0000-4000-8000-000000000000"
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string
	}{
		{"no such path", "GET", "nothing", "", nil, "404 404 page not found"},
		{"another method", "GET", "register", "", nil, "405 "},
		{"no name", "POST", "register", "{}", nil, `403 {"errorMessage":"Empty extension name","errorType":"Extension.InvalidExtensionName"}`},
		{
			"no JSON", "POST", "register", "", []string{headerName, "ext"},
			`403 {"errorMessage":"unexpected end of JSON input","errorType":"InvalidRequestFormat"}`,
		},
		{
			"configuration keys", "POST", "register", `{"configurationKeys":["a"]}`, []string{headerName, "ext"},
			`403 {"errorMessage":"configurationKeys are deprecated; use environment variables instead","errorType":"InvalidRequestFormat"}`,
		},
		{
			"an unknown event", "POST", "register", `{"events":["INVOKE","INIT"]}`, []string{headerName, "ext"},
			`403 {"errorMessage":"INIT: ErrorInvalidEventType","errorType":"Extension.InvalidEventType"}`,
		},
		{
			"SHUTDOWN for an internal one", "POST", "register", `{"events":["SHUTDOWN"]}`, []string{headerName, "internal"},
			`403 {"errorMessage":"SHUTDOWN: ErrorInvalidEventType","errorType":"Extension.InvalidEventType"}`,
		},
		{
			"next without an identifier", "GET", "event/next", "", nil,
			`403 {"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`,
		},
		{
			"next with a bad one", "GET", "event/next", "", []string{headerIdentifier, "x"},
			`403 {"errorMessage":"Invalid Lambda-Extension-Identifier","errorType":"Extension.InvalidExtensionIdentifier"}`,
		},
		{
			"next with another's", "GET", "event/next", "", []string{headerIdentifier, unknown},
			`403 {"errorMessage":"Unknown extension ID","errorType":"Extension.UnknownExtensionIdentifier"}`,
		},
		{
			"an error with another's", "POST", "init/error", "", []string{headerIdentifier, unknown, headerErrorType, "x"},
			`403 {"errorMessage":"Unknown Lambda-Extension-Identifier","errorType":"Extension.UnknownExtensionIdentifier"}`,
		},
	} {
		want(t, tc.name, a.do(tc.method, tc.path, tc.body, tc.headers...), tc.want)
	}
	if infos := a.Infos(); len(infos) != 1 || infos[0].State != "Started" {
		t.Errorf("%+v", infos)
	}
}

func TestRegister(t *testing.T) {
	a := serve(t)
	if !a.Empty() {
		t.Error("not empty")
	}
	a.expect("ext")
	const welcome = `200 {"functionName":"hello","functionVersion":"$LATEST","handler":"app.handler"`
	want(t, "an external one", a.register("ext", `"SHUTDOWN","INVOKE","INVOKE"`), welcome+"}")
	want(t, "with a feature", a.register("internal", `"INVOKE"`, headerFeature, "other, accountId"), welcome+`,"accountId":"123456789012"}`)
	want(t, "the same again", a.register("ext", ""),
		`403 {"errorMessage":"State transition from Registered to Registered failed for extension ext. Error: State transition is not allowed","errorType":"Extension.InvalidExtensionState"}`)
	want(t, "a name twice", a.register("internal", ""),
		`403 {"errorMessage":"Extension with this name already registered","errorType":"Extension.InvalidExtensionState"}`)
	want(t, "an error without its type", a.fault("ext", "init/error", ""),
		`403 {"errorMessage":"Lambda-Extension-Function-Error-Type not found","errorType":"Extension.MissingHeader"}`)
	for i := 2; i < MaxExtensions; i++ {
		a.register(fmt.Sprint("internal", i), "")
	}
	want(t, "one too many", a.register("more", ""),
		`403 {"errorMessage":"Extension limit (10) reached","errorType":"Extension.TooManyExtensions"}`)
	a.CloseRegistration()
	want(t, "after Init", a.register("late", ""),
		`403 {"errorMessage":"Extension registration closed already","errorType":"Extension.RegistrationClosed"}`)
	infos := a.Infos()
	if diff := cmp.Diff(infos[0], Info{Name: "ext", State: "Registered", Events: []Event{Invoke, Shutdown}, External: true}); diff != "" {
		t.Error(diff)
	}
	if external, internal := a.Any(); !external || !internal || a.Empty() {
		t.Error(external, internal)
	}
	var failure *Failure
	if err := a.Expect("eleventh"); !errors.As(err, &failure) || failure.Type != TypeLaunchError {
		t.Error(err)
	}
}

// TestLife has an external extension for both events, one for none, and an internal one.
func TestLife(t *testing.T) {
	a := serve(t)
	a.expect("both")
	a.expect("none")
	a.register("both", `"INVOKE","SHUTDOWN"`)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.AwaitRegistered(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one has not registered: %v", err)
	}
	a.register("none", "")
	if err := a.AwaitRegistered(t.Context()); err != nil {
		t.Error(err)
	}
	a.register("internal", `"INVOKE"`)
	a.CloseRegistration()
	both, none := a.next("both"), a.next("none")
	a.await("both", ready)
	a.await("none", ready)
	if err := a.AwaitReady(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the internal one has not asked: %v", err)
	}
	internal := a.next("internal")
	if err := a.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	want(t, "a second request beside the first", <-a.next("both"),
		`403 {"errorMessage":"State transition from Ready to Ready failed for extension ID. Error: State transition is not allowed","errorType":"Extension.InvalidExtensionState"}`)

	in := Invocation{RequestID: "r1", FunctionARN: "arn", TraceID: "Root=1", Deadline: time.UnixMilli(676051)}
	const event = `200 {"eventType":"INVOKE","deadlineMs":676051,"requestId":"r1","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}`
	if !a.BeginInvoke(in) {
		t.Error("INVOKE is for nobody")
	}
	want(t, "INVOKE", <-both, event)
	want(t, "INVOKE", <-internal, event)
	both = a.next("both")
	a.await("both", ready)
	if err := a.AwaitReady(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the internal one is at work: %v", err)
	}
	internal = a.next("internal")
	if err := a.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}

	if got := a.BeginShutdown("spindown", time.UnixMilli(676052)); !cmp.Equal(got, []string{"both"}) {
		t.Errorf("waits for %v", got)
	}
	want(t, "SHUTDOWN", <-both, `200 {"eventType":"SHUTDOWN","deadlineMs":676052,"shutdownReason":"spindown"}`)
	a.Exited("both", "exit code 0", true)
	a.Exited("none", "signal: killed", false)
	a.Close()
	if err := a.Registry.await(t.Context(), func() bool { return false }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	for what, answer := range map[string]<-chan string{"none": none, "internal": internal} {
		if got := <-answer; strings.Contains(got, "eventType") { // a client may ask again by itself, and be refused
			t.Errorf("%s is answered %s", what, got)
		}
	}
	if infos := a.Infos(); infos[0].State != "Exited" || infos[1].State != "ShutdownFailed" || a.Failure() != nil {
		t.Errorf("%+v, %v", infos, a.Failure())
	}
}

// One whose connection broke while it waited may ask again, and gets what has come meanwhile.
func TestNextAfterHangup(t *testing.T) {
	a := serve(t)
	a.expect("ext")
	a.register("ext", `"INVOKE"`)
	ctx, hangUp := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+Prefix+"event/next", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(headerIdentifier, a.ids["ext"])
	var asking sync.WaitGroup
	asking.Go(func() {
		if response, err := a.client.Do(request); err == nil {
			_ = response.Body.Close()
		}
	})
	a.await("ext", ready)
	hangUp()
	asking.Wait()
	// The server finds out in its own time.
	if err := a.Registry.await(t.Context(), func() bool { return !a.externalLocked("ext").waiting }); err != nil {
		t.Fatal(err)
	}
	a.BeginInvoke(Invocation{RequestID: "r1"})
	if got := <-a.next("ext"); !strings.Contains(got, `"requestId":"r1"`) {
		t.Error(got)
	}
}

func TestFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(a *api)
		want Failure
	}{
		{"crash before registration", func(a *api) { a.Exited("ext", "exit status 3", false) }, Failure{TypeCrash, "exit status 3", "ext"}},
		{"exit in peace", func(a *api) { a.Exited("ext", "exit code 0", true) }, Failure{TypeCrash, "exit code 0", "ext"}},
		{"not to be started", func(a *api) { a.LaunchFailed("ext", "PermissionDenied", "permission denied") }, Failure{TypeLaunchError, "permission denied", "ext"}},
		{"init error", func(a *api) {
			a.register("ext", "")
			want(a.t, "init/error", a.fault("ext", "init/error", "Fatal.Connect"), `202 {"status":"OK"}`)
			want(a.t, "again", a.fault("ext", "init/error", "Fatal.Other"), `202 {"status":"OK"}`)
			want(a.t, "next after it", <-a.next("ext"),
				`403 {"errorMessage":"State transition from InitError to Ready failed for extension ID. Error: State transition is not allowed","errorType":"Extension.InvalidExtensionState"}`)
			if got := a.Infos()[0]; got.ErrorType != "Fatal.Connect" || got.State != "InitError" {
				a.t.Errorf("%+v", got)
			}
			a.Exited("ext", "exit status 1", false)
		}, Failure{TypeInitError, "exit status 1", "ext"}},
		{"exit error while it waits", func(a *api) {
			a.register("ext", "")
			waiting := a.next("ext")
			a.await("ext", ready)
			want(a.t, "init/error", a.fault("ext", "init/error", "Fatal.X"),
				`403 {"errorMessage":"State transition from Ready to InitError failed for extension ID. Error: State transition is not allowed","errorType":"Extension.InvalidExtensionState"}`)
			want(a.t, "exit/error", a.fault("ext", "exit/error", "Fatal.X"), `202 {"status":"OK"}`)
			if got := <-waiting; strings.Contains(got, "eventType") {
				a.t.Errorf("an event for it: %s", got)
			}
			a.Exited("ext", "exit status 1", false)
		}, Failure{TypeExitError, "exit status 1", "ext"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := serve(t)
			a.expect("ext")
			tc.do(a)
			for _, await := range []func(context.Context) error{a.AwaitRegistered, a.AwaitReady} {
				var failure *Failure
				if err := await(t.Context()); !errors.As(err, &failure) || *failure != tc.want {
					t.Errorf("%v, want %v", err, tc.want)
				}
			}
		})
	}
}

// One that has reported an error and stays is not waited for without end.
func TestFaultWithoutExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Function{})
		w := httptest.NewRecorder()
		call := func(path string, headers ...string) {
			w = httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, Prefix+path, strings.NewReader("{}"))
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			g.ServeHTTP(w, r)
		}
		call("register", headerName, "internal")
		call("init/error", headerIdentifier, w.Header().Get(headerIdentifier), headerErrorType, "Fatal.X")
		began := time.Now()
		var failure *Failure
		if err := g.AwaitReady(t.Context()); !errors.As(err, &failure) || *failure != (Failure{TypeInitError, "Fatal.X", "internal"}) {
			t.Error(err)
		}
		if took := time.Since(began); took != exitGrace {
			t.Errorf("after %v", took)
		}
	})
}
