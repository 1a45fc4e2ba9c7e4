//go:build linux

package router

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
)

// linkWith is one without a network, whose connections share that much memory with others'.
func linkWith(t *testing.T, bytes int64) *link {
	t.Helper()
	room, err := makeRoom(bytes)
	must(t, err)
	r := &Router{slots: make(chan struct{}, 2*maxConnections), room: room}
	return &link{router: r, slots: make(chan struct{}, maxConnections)}
}

// takeAll takes shares until there are no more.
func takeAll(l *link) (shares []int64, total int64) {
	for {
		share := l.takeShareLocked()
		if share == 0 {
			return shares, total
		}
		shares, total = append(shares, share), total+share
	}
}

// However many connections there are, a sandbox's share no more than they may, and so do all; each has enough to go on.
func TestShares(t *testing.T) {
	const plenty = int64(1) << 40
	for name, c := range map[string]struct {
		bytes int64
		want  int // connections that a sandbox can have
		first int64
	}{
		"a large machine": {plenty, maxConnections, leastShare + spareOfSandbox/parts},
		"a small machine": {200 << 20, 556, leastShare + 200<<20/parts/parts},
		"room for ten":    {10 * leastShare, 4, leastShare + 10*leastShare/parts/parts}, // the other half is for others
		"room for two":    {2 * leastShare, 1, leastShare},
		"no room":         {2*leastShare - 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := linkWith(t, c.bytes)
			shares, total := takeAll(l)
			if len(shares) != c.want || len(shares) > 0 && shares[0] != c.first {
				t.Errorf("%d connections, want %d; the first has %v, want %d", len(shares), c.want, shares[:min(1, len(shares))], c.first)
			}
			if len(shares) > 0 && slices.Min(shares) < leastShare {
				t.Errorf("one has %d bytes", slices.Min(shares))
			}
			if most := min(c.bytes/2, maxConnections*leastShare+spareOfSandbox); total > most || total != l.held {
				t.Errorf("they share %d bytes of %d, and hold %d", total, most, l.held)
			}
			for _, share := range shares {
				l.giveShareLocked(share)
			}
			if l.held != 0 || l.router.room.left != c.bytes || len(l.slots) != 0 || len(l.router.slots) != 0 {
				t.Errorf("after all have ended: %+v, %+v", l, l.router.room)
			}
		})
	}
}

// Who takes all that there is leaves some for who comes next, and for who comes after that.
func TestSharesOfOthers(t *testing.T) {
	const bytes = 4000 * leastShare
	one := linkWith(t, bytes)
	room := one.router.room
	for i := range 4 {
		l := &link{router: &Router{slots: make(chan struct{}, 8*maxConnections), room: room}, slots: make(chan struct{}, 4*maxConnections)}
		shares, _ := takeAll(l)
		if least := 4000 / (2 << i) / 2; len(shares) < least {
			t.Errorf("sandbox %d has %d connections, want %d at least", i, len(shares), least)
		}
	}
	if room.left < 0 {
		t.Errorf("%d bytes are left", room.left)
	}
}

// No sandbox has more connections than are left for the others.
func TestSlotsOfOthers(t *testing.T) {
	r := &Router{slots: make(chan struct{}, 100)}
	for _, want := range []int{50, 25, 12, 6} {
		l := &link{router: r, slots: make(chan struct{}, maxConnections)}
		for l.takeSlots() {
		}
		if got := len(l.slots); got < want || got > want+1 {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
}

// A share is divided whole, and no part is too small for a packet of a usual network.
func TestDivide(t *testing.T) {
	for _, share := range []int64{leastShare, leastShare + 1, 8*bufferBytes - 1, 8 * bufferBytes, 1 << 20, leastShare + spareOfSandbox/parts} {
		s := divide(share)
		if all := s.outerReceive + s.outerSend + s.innerReceive + s.innerSend + 2*s.buffers.size; int64(all) != share {
			t.Errorf("%d of %d bytes are divided", all, share)
		}
		for _, part := range []int{s.outerReceive, s.outerSend, s.innerReceive, s.innerSend, s.buffers.size} {
			if part < 8<<10 {
				t.Errorf("of %d bytes a part is %d", share, part)
			}
		}
	}
}

// Sockets hold what they may, unless the kernel's own bound is lower.
func TestBound(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	raw, err := file.SyscallConn()
	must(t, err)
	get := func(option int) int {
		value, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		must(t, err)
		return value
	}
	receive, send := get(unix.SO_RCVBUF), get(unix.SO_SNDBUF)
	must(t, kernelMost{1 << 20, 1 << 20}.bound(raw, 1<<20, 2<<20))
	if get(unix.SO_RCVBUF) != receive || get(unix.SO_SNDBUF) != send {
		t.Error("a socket that the kernel bounds by itself is changed")
	}
	must(t, kernelMost{1 << 20, 1 << 20}.bound(raw, 32<<10, 16<<10))
	if r, s := get(unix.SO_RCVBUF), get(unix.SO_SNDBUF); r != 32<<10 || s != 16<<10 {
		t.Errorf("the socket may hold %d and %d bytes", r, s)
	}
	must(t, file.Close())
	if err := (kernelMost{1 << 20, 1 << 20}).bound(raw, 1, 1); err == nil {
		t.Error("a closed socket is bounded")
	}
}

// Who sends what nobody reads waits, both ways, and what was sent arrives when it is read.
func TestBackPressure(t *testing.T) {
	if routertest.InHost(t) {
		backPressure(t, 1<<40)
	}
}

func TestBackPressureOnTheLeastShare(t *testing.T) {
	if routertest.InHost(t) {
		backPressure(t, 2*leastShare)
	}
}

func backPressure(t *testing.T, maxBuffered int64) {
	t.Helper()
	w := newWorld(t, func(c *Config) { c.MaxBuffered = maxBuffered })
	sandbox := w.sandbox(0)
	accepted := make(chan *net.TCPConn)
	done := make(chan struct{})
	server := w.outside().listen(at(internet4, 0), func(conn *net.TCPConn) { accepted <- conn; <-done })
	defer close(done)
	inside := sandbox.connect("tcp", server.String()).(*net.TCPConn)
	outside := <-accepted
	sandbox.link.mu.Lock()
	var share int64
	for _, o := range sandbox.link.openings {
		share = o.share
	}
	sandbox.link.mu.Unlock()
	for _, way := range []struct {
		name     string
		from, to *net.TCPConn
	}{{"up", inside, outside}, {"down", outside, inside}} {
		const ends = 64 << 10 // of those two, which are not the router's
		must(t, errors.Join(way.from.SetWriteBuffer(ends/2), way.to.SetReadBuffer(ends/2)))
		sent := fill(t, way.from)
		if most := share + 2*ends; sent > most {
			t.Errorf("%s: %d bytes are on their way, in no more than %d", way.name, sent, most)
		}
		must(t, way.from.CloseWrite())
		var heard pattern
		if n, err := io.Copy(&heard, way.to); err != nil || n != sent || heard.wrong > 0 {
			t.Errorf("%s: %d of %d bytes arrive, %d of them wrong, %v", way.name, n, sent, heard.wrong, err)
		}
		t.Logf("%s: %d bytes were on their way, the share is %d", way.name, sent, share)
	}
}

// fill writes until nothing more is taken for a while, and says how much was.
func fill(t *testing.T, conn *net.TCPConn) (sent int64) {
	t.Helper()
	block := make([]byte, 8<<10)
	for {
		for i := range block {
			block[i] = byte((sent + int64(i)) % 251)
		}
		must(t, conn.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
		n, err := conn.Write(block)
		sent += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		must(t, err)
		if sent > 256<<20 {
			t.Fatal("there is no end to it")
		}
	}
}

// pattern counts what is not as fill wrote it.
type pattern struct{ at, wrong int64 }

func (p *pattern) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != byte(p.at%251) {
			p.wrong++
		}
		p.at++
	}
	return len(b), nil
}

// Where all sandboxes' connections have no memory left, another waits until one of them has ended, as with a lost packet.
func TestNoMemoryForConnections(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t, func(c *Config) { c.MaxBuffered = 2 * leastShare })
	one, other := w.sandbox(0), w.sandbox(0)
	server := w.outside().listen(at(internet4, 0), echo).String()
	held := one.connect("tcp", server)
	second := make(chan error, 1)
	go func() {
		conn, err := other.dial("tcp", server)
		if err == nil {
			conn.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Errorf("there is no room and it comes: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	wantAnswer(t, held, "x", "x")
	held.Close()
	select {
	case err := <-second:
		must(t, err)
	case <-time.After(patience):
		t.Error("there is room and it does not come")
	}
}
