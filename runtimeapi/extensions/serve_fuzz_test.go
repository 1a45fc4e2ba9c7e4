package extensions

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzServe lets anything be asked, three times, by whom it may: every answer has a status that the API knows, and
// there are never more extensions than may be.
func FuzzServe(f *testing.F) {
	for _, path := range []string{"register", "event/next", "init/error", "exit/error"} {
		f.Add("POST", path, "ext", "00000000-0000-4000-8000-000000000000", "Fatal.X", `{"events":["INVOKE","SHUTDOWN"]}`)
		f.Add("GET", path, "inside", "own", "", `{"configurationKeys":["a"]}`)
	}
	f.Fuzz(func(t *testing.T, method, path, name, id, kind, body string) {
		g := New(Function{Name: "f"})
		defer g.Close()
		if err := g.Expect("ext"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a next that waits hangs up
		for range 3 {
			request, err := http.NewRequestWithContext(ctx, method, "http://x"+Prefix+path, strings.NewReader(body))
			if err != nil {
				return
			}
			request.Header.Set(headerName, name)
			request.Header.Set(headerErrorType, kind)
			if request.Header.Set(headerIdentifier, id); id == "own" {
				request.Header.Set(headerIdentifier, g.extensions[0].id.String())
			}
			recorder := httptest.NewRecorder()
			func() {
				defer func() {
					if r := recover(); r != nil && r != http.ErrAbortHandler {
						panic(r)
					}
				}()
				g.ServeHTTP(recorder, request)
			}()
			switch recorder.Code {
			case 200, 202, 403, 404, 405:
			default:
				t.Fatalf("status %d for %s %s", recorder.Code, method, path)
			}
		}
		if n := len(g.Infos()); n < 1 || n > 2 {
			t.Fatalf("%d extensions", n)
		}
	})
}
