//go:build linux

package router

import (
	"io"
	"net"
	"os"
	"sort"
	"testing"
	"time"

	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/router/rtnl"
)

// TestFigures prints what the router costs. `make bench` does not run it: it takes a network of its own.
func TestFigures(t *testing.T) {
	if os.Getenv("HOTARU_FIGURES") == "" {
		t.Skip("prints figures when HOTARU_FIGURES is set")
	}
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	var took []time.Duration
	var closing []time.Duration
	for range 100 {
		namespace, err := rtnl.NewNamespace()
		must(t, err)
		began := time.Now()
		l, err := w.router.Connect(namespace, 0)
		must(t, err)
		took = append(took, time.Since(began))
		began = time.Now()
		must(t, l.Close())
		namespace.Close()
		closing = append(closing, time.Since(began))
	}
	t.Logf("connect: median %v, p99 %v; close: median %v", median(took), took[98], median(closing))

	sink := w.outside().listen(at(internet4, 0), func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	source := w.outside().listen(at(internet4, 0), func(c *net.TCPConn) {
		b := make([]byte, 256<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	s := w.sandbox(0)
	for _, from := range []struct {
		name string
		*place
	}{{"sandbox", s}, {"host", w.hostItself()}} {
		var connects, rounds []time.Duration
		serve := w.outside().listen(at(internet4, 0), echo)
		for range 200 {
			began := time.Now()
			c := from.connect("tcp", serve.String())
			connects = append(connects, time.Since(began))
			b := make([]byte, 1)
			began = time.Now()
			_, _ = c.Write(b)
			_, _ = c.Read(b)
			rounds = append(rounds, time.Since(began))
			c.Close()
		}
		up := from.connect("tcp", sink.String())
		b := make([]byte, 256<<10)
		began, n := time.Now(), 0
		for time.Since(began) < 2*time.Second {
			k, err := up.Write(b)
			must(t, err)
			n += k
		}
		upRate := float64(n) * 8 / time.Since(began).Seconds() / 1e9
		down := from.connect("tcp", source.String())
		began, n = time.Now(), 0
		for time.Since(began) < 2*time.Second {
			k, err := down.Read(b)
			must(t, err)
			n += k
		}
		downRate := float64(n) * 8 / time.Since(began).Seconds() / 1e9
		t.Logf("%s: connect %v, round trip %v, up %.1f Gbit/s, down %.1f Gbit/s", from.name, median(connects), median(rounds), upRate, downRate)
		up.Close()
		down.Close()
	}
}

func median(all []time.Duration) time.Duration {
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all[len(all)/2]
}
