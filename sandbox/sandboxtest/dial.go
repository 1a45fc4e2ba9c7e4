package sandboxtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
)

func testDial(t *testing.T, h *host) {
	box := h.create(h.spec("dial"))
	for _, to := range [][2]string{{"udp", "127.0.0.1:1"}, {"tcp", "8.8.8.8:53"}, {"tcp", "127.0.0.1:0"}, {"tcp", "localhost:80"}, {"tcp", ""}} {
		if conn, err := box.Dial(h.context(), to[0], to[1]); err == nil {
			t.Errorf("dialled %v", to)
			conn.Close()
		}
	}
	for _, ip := range []string{"127.0.0.1", "[::1]"} {
		p := h.start(box, program("serve", ip+":0"))
		address := p.line()
		for range 2 {
			conn, err := box.Dial(h.context(), "tcp", address)
			must(t, err)
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(conn, "ping\n")
			must(t, err)
			got := make([]byte, len("ping\n"))
			_, err = io.ReadFull(conn, got)
			must(t, err)
			if string(got) != "ping\n" {
				t.Errorf("%q", got)
			}
			must(t, conn.Close())
		}
		must(t, p.Signal(syscall.SIGKILL))
		p.wait()
		if conn, err := box.Dial(h.context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v, %v", conn, err)
		}
	}
	must(t, box.Freeze(h.context()))
	_, err := box.Dial(h.context(), "tcp", "127.0.0.1:1")
	wantError(t, "dial into a frozen sandbox", err, sandbox.ErrFrozen)
	must(t, box.Thaw(h.context()))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = box.Dial(cancelled, "tcp", "127.0.0.1:1")
	wantError(t, "cancelled", err, context.Canceled)
	h.destroy(box)
	_, err = box.Dial(h.context(), "tcp", "127.0.0.1:1")
	wantError(t, "dial after destroy", err, sandbox.ErrDestroyed)
}

// testDialOwnNetwork: what listens at the same address in another sandbox, or on the host, is not met.
func testDialOwnNetwork(t *testing.T, h *host) {
	if !h.enforces(sandbox.BoundaryNetwork) {
		t.Skip("this driver's sandboxes share the host's network")
	}
	first, second := h.create(h.spec("first")), h.create(h.spec("second"))
	p := h.start(first, program("serve", "127.0.0.1:0"))
	address := p.line()
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatal(address)
	}
	if conn, err := second.Dial(h.context(), "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from another network: %v, %v", conn, err)
	}
}
