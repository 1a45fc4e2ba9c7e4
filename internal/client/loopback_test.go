package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// watched is a request body that knows whether it was closed.
type watched struct {
	io.Reader
	closed atomic.Bool
}

func (w *watched) Close() error { w.closed.Store(true); return nil }

// What the SDK may close while the answer arrives is no longer in use when the request reaches the server.
func TestBodiesAreSentFromMemory(t *testing.T) {
	body := &watched{Reader: strings.NewReader("payload")}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if r.Method == http.MethodPost && (err != nil || string(got) != "payload" || r.ContentLength != 7 || !body.closed.Load()) {
			t.Errorf("the server got %q of %d, %v, closed: %v", got, r.ContentLength, err, body.closed.Load())
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer front.Close()
	h := loopback()
	defer h.CloseIdleConnections()
	send := func(method string, body io.Reader) error {
		r, err := http.NewRequestWithContext(t.Context(), method, front.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			r.ContentLength = 7
		}
		answer, err := h.Do(r)
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusAccepted {
			t.Error(answer.Status)
		}
		return answer.Body.Close()
	}
	broken := errors.New("broken body")
	if err := send(http.MethodPost, &watched{Reader: io.MultiReader(strings.NewReader("pay"), failing{broken})}); !errors.Is(err, broken) {
		t.Errorf("a body that cannot be read: %v", err)
	}
	if err := send(http.MethodPost, body); err != nil {
		t.Error(err)
	}
	if err := send(http.MethodGet, nil); err != nil {
		t.Error(err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
