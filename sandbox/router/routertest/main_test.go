//go:build linux

package routertest

import (
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFurnish: the world is there, and is not the machine's.
func TestFurnish(t *testing.T) {
	if !InHost(t) {
		return
	}
	internet := Furnish(t)
	heard := make(chan struct{}, 1)
	server := Listen(t, internet, Internet4+":0", func(*net.TCPConn) { heard <- struct{}{} })
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.String())
	must(t, err)
	defer conn.Close()
	<-heard
	if from := conn.LocalAddr().(*net.TCPAddr).IP.String(); from != Host4 {
		t.Errorf("the host is %s", from)
	}
}
