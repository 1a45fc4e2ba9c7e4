//go:build linux

// Package pollio reads and writes descriptors that never block, without telling Go's scheduler of it.
//
// Package net and package os announce every system call to the scheduler, lest other goroutines wait for one that blocks.
// That wakes the scheduler's monitor thread if everything was idle before, which then looks every 20 us whether the call still
// lasts. Where small requests come one after the other, it took a fifth of this program's CPU time, and longer for each.
// These descriptors are non-blocking, so there is nothing to announce: whoever has to wait does so in Go's poller.
// What is long is announced all the same, because something long is going to be done with it.
//
// It must not know what is read or written.
package pollio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// long is how many bytes are better announced.
const long = 16 << 10

// Read is read(2) of a non-blocking descriptor: 0 bytes are its end, and unix.EAGAIN says that there is nothing yet.
func Read(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if len(b) > long {
			n, _, errno = unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		} else {
			n, _, errno = unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// most is how many buffers a write takes; further ones come with the next.
const most = 2

// Stream is a non-blocking stream socket. Its reads exclude each other, as do its writes, and both go on at once.
type Stream struct {
	network string
	raw     syscall.RawConn // in the poller
	// watched is what is read and written instead of raw's own descriptor; -1 if it is that.
	watched     int
	read, write direction
}

// direction is what is under way in one direction. Its function is made once: there are thousands of calls in a second.
type direction struct {
	mu      sync.Mutex
	attempt func(uintptr) bool
	buffers [most][]byte
	iovecs  [most]unix.Iovec
	n       int
	err     error
}

// NewStream is for a socket of a network ("tcp", "unix") that is in Go's poller: raw is its own.
func NewStream(network string, raw syscall.RawConn) *Stream { return NewWatched(network, raw, -1) }

// NewWatched is for a socket that is not: raw's descriptor can be read when the socket can, and must be closed before it.
func NewWatched(network string, raw syscall.RawConn, fd int) *Stream {
	s := &Stream{network: network, raw: raw, watched: fd}
	s.read.attempt, s.write.attempt = s.tryRead, s.tryWrite
	return s
}

// Read reads what there is, or waits until there is something. It is a net.Conn's Read, and has its errors.
func (s *Stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d := &s.read
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buffers[0], d.n, d.err = b, 0, nil
	err := s.raw.Read(d.attempt)
	d.buffers[0] = nil
	if err == nil {
		err = d.err
	}
	if err == nil && d.n == 0 {
		return 0, io.EOF
	}
	return d.n, s.named("read", err)
}

func (s *Stream) descriptor(own uintptr) int {
	if s.watched >= 0 {
		return s.watched
	}
	return int(own)
}

func (s *Stream) tryRead(own uintptr) bool {
	d := &s.read
	d.n, d.err = Read(s.descriptor(own), d.buffers[0])
	return !errors.Is(d.err, unix.EAGAIN)
}

// Of is how a connection is better read and written: as a Stream if it is a socket.
func Of(conn net.Conn) io.ReadWriter {
	if socket, ok := conn.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			return NewStream(conn.LocalAddr().Network(), raw)
		}
	}
	return conn
}

// Write is a net.Conn's Write.
func (s *Stream) Write(b []byte) (int, error) { return s.WriteBoth(b, nil) }

// WriteBoth writes two buffers, the second of which may be empty, with one system call if the socket takes all of it. If
// it does not, WriteBoth waits, or returns what it took and unix.EAGAIN if nobody tells it when to go on (NewWatched). Otherwise
// it is a net.Conn's Write.
func (s *Stream) WriteBoth(first, second []byte) (int, error) {
	d := &s.write
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buffers, d.n, d.err = [most][]byte{first, second}, 0, nil
	err := s.raw.Write(d.attempt)
	d.buffers, d.iovecs = [most][]byte{}, [most]unix.Iovec{}
	if err == nil {
		err = d.err
	}
	return d.n, s.named("write", err)
}

// named makes of an error what a connection of package net makes of it.
func (s *Stream) named(op string, err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		err = errno
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = os.ErrDeadlineExceeded
	default:
		err = net.ErrClosed // which package os says in words of its own here
	}
	return &net.OpError{Op: op, Net: s.network, Err: err}
}

// tryWrite writes until everything is written or it would have to wait.
func (s *Stream) tryWrite(own uintptr) bool {
	d := &s.write
	for {
		count, length := 0, 0
		for _, b := range d.buffers {
			if len(b) > 0 {
				d.iovecs[count].Base = &b[0]
				d.iovecs[count].SetLen(len(b))
				count, length = count+1, length+len(b)
			}
		}
		if count == 0 {
			return true
		}
		n, errno := writev(s.descriptor(own), d.iovecs[:count], length)
		switch errno {
		case 0:
			d.n += n
			for i, b := range d.buffers {
				taken := min(n, len(b))
				d.buffers[i], n = b[taken:], n-taken
			}
		case unix.EINTR:
		case unix.EAGAIN:
			if s.watched < 0 {
				return false
			}
			d.err = errno
			return true
		default:
			d.err = errno
			return true
		}
	}
}

func writev(fd int, iovecs []unix.Iovec, length int) (n int, errno syscall.Errno) {
	var written uintptr
	if length > long {
		written, _, errno = unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iovecs[0])), uintptr(len(iovecs)))
	} else {
		written, _, errno = unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iovecs[0])), uintptr(len(iovecs)))
	}
	return int(written), errno
}
