//go:build linux

package router

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// bufferBytes holds any datagram.
const bufferBytes = 64 << 10

// lender lends buffers of a size, while there is something in them: a connection that says nothing has none.
type lender struct {
	size int
	pool sync.Pool
}

// Buffers for datagrams and for connections with a share that has room for them; and for the others.
var (
	wholeBuffers = lender{size: bufferBytes}
	smallBuffers = lender{size: bufferBytes / 4}
)

func (l *lender) get() *[]byte {
	if buffer, ok := l.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, l.size)
	return &buffer
}

func (l *lender) put(buffer *[]byte) { l.pool.Put(buffer) }

// read waits until there is something to read and reads it. Give the buffer back. At the end it answers io.EOF, if ends
// says that nothing is the end.
func (l *lender) read(raw syscall.RawConn, ends bool) (buffer *[]byte, n int, err error) {
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		buffer = l.get()
		for {
			if n, failed = unix.Read(int(fd), *buffer); !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if failed == nil && (n > 0 || !ends) {
			return true
		}
		l.put(buffer)
		buffer = nil
		return !errors.Is(failed, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return nil, 0, err
	case failed != nil:
		return nil, 0, failed
	case buffer == nil:
		return nil, 0, io.EOF
	}
	return buffer, n, nil
}

// relay copies between a sandbox's connection and the outside's until both directions have ended or either side is reset.
func (l *link) relay(inner, outer *net.TCPConn, buffers *lender) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	// Should this process be killed, the kernel is not to keep the connection, and the router's namespace with it, until a
	// sandbox that is gone too has said goodbye.
	_ = inner.SetLinger(0) // it fails for a connection that is closed
	stop := context.AfterFunc(ctx, func() { reset(inner); reset(outer) })
	var both sync.WaitGroup
	both.Go(func() { pump(ctx, cancel, outer, inner, l.up, buffers) })
	both.Go(func() { pump(ctx, cancel, inner, outer, l.down, buffers) })
	both.Wait()
	if stop() { // both have said goodbye
		_ = inner.SetLinger(-1) // as a connection is closed
		inner.Close()
		outer.Close()
	}
}

// pump copies one direction. It hands an end on as an end, and a failure by abort, as a failure.
func pump(ctx context.Context, abort func(), to, from *net.TCPConn, ration *bucket, buffers *lender) {
	raw, err := from.SyscallConn()
	for err == nil {
		var buffer *[]byte
		var n int
		if buffer, n, err = buffers.read(raw, true); err != nil {
			break
		}
		if err = ration.wait(ctx, n); err == nil {
			_, err = to.Write((*buffer)[:n])
		}
		buffers.put(buffer)
	}
	if errors.Is(err, io.EOF) {
		err = to.CloseWrite()
	}
	if err != nil {
		abort()
	}
}

// reset closes a connection as one that failed. nil is fine.
func reset(conn *net.TCPConn) {
	if conn != nil {
		_ = conn.SetLinger(0) // it is closed already
		conn.Close()
	}
}
