//go:build linux

package runtimeapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/internal/pollio"
)

// Conn is the daemon's end of a Pair, a net.Conn. It does what a net.UnixConn does, but the runtime wakes nobody up by
// reading: Go has its poller told when a socket can be written to, and a Unix socket can again whenever its peer has read
// something, which is once for every event. That took a tenth of the runtime's CPU time for an event, which is the function's,
// and a thread of the daemon's besides. So the poller does not see the socket but an epoll instance, which becomes readable
// when the socket does (epoll(7)).
type Conn struct {
	fd     int // non-blocking, and closed after watch: whoever uses it holds that
	watch  *os.File
	raw    syscall.RawConn
	stream *pollio.Stream

	mu sync.Mutex // guards what follows
	// waiting is the same socket in the poller, once a write has had to wait: something larger than the socket's buffer.
	waiting  *net.UnixConn
	deadline time.Time // of writes
	closed   bool
}

// newConn takes a socket over, in case of an error too.
func newConn(fd int) (*Conn, error) {
	c := &Conn{fd: fd}
	err := func() error {
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		if err := unix.SetNonblock(epoll, true); err != nil { // how package os knows that it can be polled
			return errors.Join(err, unix.Close(epoll))
		}
		c.watch = os.NewFile(uintptr(epoll), "runtime-daemon")
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
		c.raw, err = c.watch.SyscallConn()
		return err
	}()
	if err == nil {
		c.stream = pollio.NewWatched("unix", c.raw, fd)
		return c, nil
	}
	if c.watch != nil {
		c.watch.Close()
	}
	return nil, errors.Join(fmt.Errorf("runtimeapi: socketpair: %w", err), unix.Close(fd))
}

// Read reads what is there, or waits until there is something.
func (c *Conn) Read(b []byte) (int, error) { return c.stream.Read(b) }

// Write writes all of b.
func (c *Conn) Write(b []byte) (int, error) { return c.WriteBoth(b, nil) }

// WriteBoth writes all of both, with one system call if the socket takes them at once.
func (c *Conn) WriteBoth(head, payload []byte) (int, error) {
	n, err := c.stream.WriteBoth(head, payload)
	if !errors.Is(err, unix.EAGAIN) {
		return n, err
	}
	waiting, err := c.wait()
	if err != nil {
		return n, err
	}
	taken := min(n, len(head))
	rest := net.Buffers{head[taken:], payload[n-taken:]}
	more, err := rest.WriteTo(waiting)
	return n + int(more), err
}

// wait has the socket in the poller, for writes that wait.
func (c *Conn) wait() (*net.UnixConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &net.OpError{Op: "write", Net: "unix", Err: net.ErrClosed}
	}
	if c.waiting != nil {
		return c.waiting, nil
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: %w", err)
	}
	file := os.NewFile(uintptr(fd), "runtime-daemon")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: %w", err)
	}
	c.waiting = conn.(*net.UnixConn)
	return c.waiting, c.waiting.SetWriteDeadline(c.deadline)
}

// CloseRead ends the reading: what is there is still read, and then io.EOF, whoever holds the other end open.
func (c *Conn) CloseRead() error {
	var failed error
	err := c.raw.Control(func(uintptr) { failed = unix.Shutdown(c.fd, unix.SHUT_RD) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("runtimeapi: close: %w", err)
	}
	return nil
}

// Close ends what is under way and closes the connection.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	var failures []error
	if c.waiting != nil {
		failures = append(failures, c.waiting.Close())
	}
	// It returns when nobody is at it any more.
	failures = append(failures, c.watch.Close(), unix.Close(c.fd))
	return errors.Join(failures...)
}

// SetDeadline is when reads and writes end with os.ErrDeadlineExceeded.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is when reads end with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.watch.SetReadDeadline(t) }

// SetWriteDeadline is when writes end with os.ErrDeadlineExceeded.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	err := c.watch.SetWriteDeadline(t)
	if c.waiting != nil {
		err = errors.Join(err, c.waiting.SetWriteDeadline(t))
	}
	return err
}

// LocalAddr is the address of a socket without a name.
func (c *Conn) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr is the same.
func (c *Conn) RemoteAddr() net.Addr { return c.LocalAddr() }
