package sandboxtest

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"hotaru/sandbox"
)

// enforcesNetwork: whoever listens on the host is out of reach, with a way to the outside and without one.
func enforcesNetwork(t *testing.T, h *host) {
	boxes := []sandbox.Sandbox{h.create(h.spec("network"))}
	if h.enforces(sandbox.BoundaryEgress) {
		spec := h.spec("network-egress")
		spec.Egress = sandbox.EgressInternet
		boxes = append(boxes, h.create(spec))
	}
	addresses, err := net.InterfaceAddrs()
	must(t, err)
	addresses = append(addresses, &net.IPNet{IP: net.IPv4(127, 0, 0, 1)}, &net.IPNet{IP: net.IPv6loopback})
	for _, address := range addresses {
		ip := address.(*net.IPNet).IP
		listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
		if err != nil {
			t.Logf("%s: %v", ip, err) // of a link, or IPv6 where there is none
			continue
		}
		var serving sync.WaitGroup
		serving.Go(func() { greet(listener) })
		for _, box := range boxes {
			h.fails(box, program("dial", listener.Addr().String()))
		}
		listener.Close()
		serving.Wait()
	}
}

// enforcesEgress: the outside can be reached by whom it is given to, and by nobody else.
func enforcesEgress(t *testing.T, h *host) {
	if !h.enforces(sandbox.BoundaryNetwork) {
		return // the host's network is everybody's
	}
	h.fails(h.create(h.spec("egress-none")), program("exchange", h.Outside, "1"))
	spec := h.spec("egress-internet")
	spec.Egress = sandbox.EgressInternet
	box := h.create(spec)
	h.output(box, program("exchange", h.Outside, "100000"))
	must(t, box.Freeze(h.context()))
	must(t, box.Thaw(h.context()))
	h.output(box, program("exchange", h.Outside, "1"))
	must(t, box.Reset(h.context()))
	h.output(box, program("exchange", h.Outside, "1"))
}

// withoutEgress: a driver that has no way to the outside does not pretend to.
func withoutEgress(t *testing.T, h *host) {
	spec := h.spec("egress-unsupported")
	spec.Egress = sandbox.EgressInternet
	box, err := h.Driver.Create(h.context(), spec)
	if err == nil {
		h.destroy(box)
	}
	wantError(t, "a way to the outside", err, errors.ErrUnsupported)
}

func enforcesNetBandwidth(t *testing.T, h *host) {
	const rate, size = 1 << 20, 640 << 10 // bytes per second; bytes
	spec := h.spec("net-bandwidth")
	spec.Egress, spec.Limits.NetBytesPerSecond = sandbox.EgressInternet, rate
	box := h.create(spec)
	began := time.Now()
	h.output(box, program("exchange", h.Outside, "655360"))
	// What may come at once, after a pause, is a small part of a second's.
	if took := time.Since(began); took < time.Second*(size-rate/4)/rate {
		t.Errorf("%d bytes at %d bytes per second took %v", size, rate, took)
	}
}
