//go:build linux

package router

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/router/rtnl"
)

// routerThatDies tells this test binary to be the process that dies.
const routerThatDies = "HOTARU_TEST_ROUTER"

// TestRouterThatDies is that process: it connects the namespace at descriptor 3 and waits to be killed.
func TestRouterThatDies(t *testing.T) {
	if os.Getenv(routerThatDies) == "" {
		t.Skip("runs as a child of TestKilled only")
	}
	r, err := New(Config{})
	must(t, err)
	_, err = r.Connect(os.NewFile(3, "sandbox"), 0)
	must(t, err)
	_, err = os.Stdout.WriteString("ready\n")
	must(t, err)
	select {}
}

// TestKilled: a router whose process is killed leaves nothing, and nobody has to sweep.
func TestKilled(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	before := hostNetwork(t)
	namespace, err := rtnl.NewNamespace()
	must(t, err)
	defer namespace.Close()
	program, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestRouterThatDies$")
	cmd.Env = append(os.Environ(), routerThatDies+"=yes")
	cmd.ExtraFiles = []*os.File{namespace}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		t.Log(lines.Text())
	}
	if !hasInterface(t, namespace) {
		t.Error("the sandbox has no interface: the test does not test")
	}
	if during := hostNetwork(t); during != before {
		t.Errorf("the host's network was\n%s\nand is\n%s", before, during)
	}
	// An open connection holds nothing either.
	server := w.outside().listen(at(internet4, 0), echo).String()
	left := &place{w: w, namespace: namespace}
	conn := left.connect("tcp", server)
	_, err = conn.Write([]byte("x"))
	must(t, err)
	_, err = conn.Read(make([]byte, 1))
	must(t, err)
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	// The sandbox's interface goes with its peer, that with the router's namespace, and that with the process.
	losesInterface(t, namespace)
	if after := hostNetwork(t); after != before {
		t.Errorf("the host's network was\n%s\nand is\n%s", before, after)
	}
	// And another router, in its place.
	wantAnswer(t, w.sandbox(0).connect("tcp", server), "hello", "hello")
}

func losesInterface(t *testing.T, namespace *os.File) {
	t.Helper()
	for wait := time.Millisecond; hasInterface(t, namespace); wait *= 2 {
		if wait > patience {
			t.Fatal("the sandbox keeps its interface")
		}
		<-time.After(wait)
	}
}

func hasInterface(t *testing.T, namespace *os.File) (has bool) {
	t.Helper()
	must(t, rtnl.Inside(namespace, func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			has = has || i.Name == peerName
		}
		return err
	}))
	return has
}

// TestMissing: where the kernel lacks something the router says what, and leaves nothing.
func TestMissing(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	before := hostNetwork(t)
	routertest.WithoutTUN(t)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	first, err := New(Config{}) // after which the process has what it keeps: a poller
	if err == nil || !strings.Contains(err.Error(), "TUN") {
		t.Errorf("without TUN interfaces: %v, %v", first, err)
	}
	had := descriptors()
	if _, err := New(Config{}); err == nil {
		t.Error("without TUN interfaces there is a router")
	}
	if has := descriptors(); has != had {
		t.Errorf("%d descriptors, there were %d", has, had)
	}
	if after := hostNetwork(t); after != before {
		t.Errorf("the host's network was\n%s\nand is\n%s", before, after)
	}
}

// TestTwoRouters: two on one host, whose sandboxes have the same addresses, do not notice each other.
func TestTwoRouters(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	other, err := New(Config{})
	must(t, err)
	defer other.Close()
	second := &world{T: t, router: other, internet: w.internet}
	server := w.outside().listen(at(internet4, 0), echo).String()
	one, two := w.sandbox(0), second.sandbox(0)
	if one.link.address4 != two.link.address4 {
		t.Fatal("they have different addresses: the test does not test")
	}
	held := two.connect("tcp", server)
	wantAnswer(t, one.connect("tcp", server), "of one", "of one")
	wantAnswer(t, two.connect("tcp", server), "of two", "of two")
	must(t, w.router.Close())
	wantAnswer(t, held, "still there", "still there")
	wantAnswer(t, two.connect("tcp", server), "of two", "of two")
	losesInterface(t, one.namespace)
	one.refused("tcp", server, unix.ENETUNREACH)
}

// What a sandbox gives up before the outside has answered is given up outside as well, and leaves nothing behind.
func TestGivenUp(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	l := sandbox.link
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.router.dialTCP(ctx, netip.AddrPortFrom(internet4, 80), leastShare); !errors.Is(err, context.Canceled) {
		t.Errorf("dialing for nobody: %v", err)
	}
	// As if the sandbox had gone away between its packet and the outside's answer: nobody completes the connection.
	server := w.outside().listen(at(internet4, 0), echo)
	outer, err := w.router.dialTCP(t.Context(), server, leastShare)
	must(t, err)
	f := flow{from: netip.AddrPortFrom(l.address4, 40000), to: server}
	l.mu.Lock()
	share := l.takeShareLocked()
	l.mu.Unlock()
	if share == 0 {
		t.Fatal("no room")
	}
	o := &opening{outer: outer, share: share, limit: time.NewTimer(time.Hour)}
	l.mu.Lock()
	l.openings[f] = o
	l.mu.Unlock()
	l.drop(f, o)
	l.drop(f, o) // again is nothing
	if l.held != 0 {
		t.Errorf("%d bytes of the connections' memory are held", l.held)
	}
	if len(l.slots) != 0 || len(w.router.slots) != 0 || len(l.openings) != 0 {
		t.Errorf("still counted: %d, %d, %d", len(l.slots), len(w.router.slots), len(l.openings))
	}
	if _, err := outer.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection outside is open: %v", err)
	}
}
