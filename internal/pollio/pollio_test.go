//go:build linux

package pollio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connected returns the two ends of a connection on loopback.
func connected(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialed.Close()
		accepted.Close()
	})
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

func stream(t *testing.T, conn net.Conn) *Stream {
	t.Helper()
	s, ok := Of(conn).(*Stream)
	if !ok {
		t.Fatalf("%T is no socket", conn)
	}
	return s
}

func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(client, server *net.TCPConn) error // to the client, then something with the server's end
		want error
		op   string
	}{
		"read after close": {func(_, s *net.TCPConn) error {
			s.Close()
			_, err := Of(s).Read(make([]byte, 1))
			return err
		}, net.ErrClosed, "read"},
		"write after close": {func(_, s *net.TCPConn) error {
			s.Close()
			_, err := Of(s).Write([]byte("x"))
			return err
		}, net.ErrClosed, "write"},
		"read after its deadline": {func(_, s *net.TCPConn) error {
			_ = s.SetReadDeadline(time.Unix(1, 0))
			_, err := Of(s).Read(make([]byte, 1))
			return err
		}, os.ErrDeadlineExceeded, "read"},
		"write after its deadline": {func(_, s *net.TCPConn) error {
			_ = s.SetWriteDeadline(time.Unix(1, 0))
			_, err := Of(s).Write([]byte("x"))
			return err
		}, os.ErrDeadlineExceeded, "write"},
		"reset by the client": {func(c, s *net.TCPConn) error {
			_ = c.SetLinger(0)
			c.Close()
			_, err := Of(s).Read(make([]byte, 1))
			return err
		}, unix.ECONNRESET, "read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.do(connected(t))
			var of *net.OpError
			if !errors.Is(err, test.want) || !errors.As(err, &of) || of.Op != test.op || of.Net != "tcp" {
				t.Errorf("%v (%T), want a net.OpError of %s: %v", err, err, test.op, test.want)
			}
			if errors.As(of.Err, &of) {
				t.Errorf("an OpError in an OpError: %v", err)
			}
		})
	}
}

func TestReadEnds(t *testing.T) {
	t.Parallel()
	client, server := connected(t)
	s := stream(t, server)
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
	if _, err := client.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	client.CloseWrite()
	if got, err := io.ReadAll(s); string(got) != "last" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCloseWakesWhoReads(t *testing.T) {
	t.Parallel()
	_, server := connected(t)
	s := stream(t, server)
	failed := make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 1))
		failed <- err
	}()
	server.Close() // before or while it is read: the answer is the same
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// What a socket does not take at once is written when it does, in order, beside what comes the other way.
func TestLongWrites(t *testing.T) {
	t.Parallel()
	client, server := connected(t)
	_ = server.SetWriteBuffer(4 << 10)
	s := stream(t, server)
	head, payload := bytes.Repeat([]byte("head"), 3<<10), bytes.Repeat([]byte("payload"), 1<<19)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		if n, err := s.WriteBoth(head, payload); n != len(head)+len(payload) || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
		server.CloseWrite()
	})
	group.Go(func() {
		if got, err := io.ReadAll(s); len(got) != 5<<20 || err != nil {
			t.Errorf("read %d: %v", len(got), err)
		}
	})
	group.Go(func() {
		if n, err := client.Write(make([]byte, 5<<20)); err != nil {
			t.Errorf("the client wrote %d: %v", n, err)
		}
		client.CloseWrite()
	})
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, append(head, payload...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A watched socket is told of by another descriptor, and its writes never wait.
func TestWatched(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var bell [2]int
	if err := unix.Pipe2(bell[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	watch := os.NewFile(uintptr(bell[0]), "bell")
	defer watch.Close()
	defer unix.Close(bell[1])
	raw, err := watch.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s := NewWatched("unix", raw, fds[0])

	read := make(chan string)
	go func() {
		b := make([]byte, 16)
		n, _ := s.Read(b)
		read <- string(b[:n])
	}()
	if _, err := unix.Write(fds[1], []byte("told")); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(bell[1], []byte("!")); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "told" {
		t.Errorf("%q", got)
	}

	payload := make([]byte, 8<<20)
	n, err := s.WriteBoth([]byte("head"), payload)
	if !errors.Is(err, unix.EAGAIN) || n < len("head") || n >= len(payload) {
		t.Errorf("wrote %d: %v", n, err)
	}
	if m, err := s.Write([]byte("more")); m != 0 || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("wrote %d more: %v", m, err)
	}
}

// What is no socket is read and written as it is.
func TestOfNoSocket(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := Of(a); got != io.ReadWriter(a) {
		t.Errorf("%T", got)
	}
	// A socket's own kind says so too: nothing is lost between the two ways to read it.
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := stream(t, conn); s.network != "unix" {
		t.Errorf("network %q", s.network)
	}
}

func BenchmarkRead(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	message := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unix.Write(fds[1], message); err != nil {
			b.Fatal(err)
		}
		if _, err := Read(fds[0], message); err != nil {
			b.Fatal(err)
		}
	}
}
