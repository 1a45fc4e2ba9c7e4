//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// Dial connects to a server inside. Stage-1 makes the socket, so that root and rootless are one code path, and the
// connecting happens here.
func (b *box) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := sandbox.DialTarget(network, address)
	if err != nil {
		return nil, err
	}
	file, err := b.socket(ctx, to.Addr().Is6())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := connect(ctx, file, to); err != nil {
		return nil, fmt.Errorf("sandbox: connect to %s: %w", address, err)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("sandbox: connection to %s: %w", address, err)
	}
	return conn, nil
}

// socket has stage-1 make a socket.
func (b *box) socket(ctx context.Context, v6 bool) (*os.File, error) {
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	defer b.end()
	if b.frozen {
		return nil, sandbox.ErrFrozen
	}
	if b.house != nil {
		return b.house.Socket(v6)
	}
	request := wire.Socket{V6: v6}
	id := b.inside.control.newID()
	r, err := b.ask(ctx, id, request.Encode(id), nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("sandbox: socket: %w", err)
	case len(r.files) != 1:
		closeFiles(r.files)
		return nil, errors.New("sandbox: stage-1 sent another number of sockets")
	}
	return r.files[0], nil
}

// connect connects a socket in non-blocking mode, and gives up when the context ends.
func connect(ctx context.Context, file *os.File, to netip.AddrPort) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) }) // fails only once it is closed
	defer stop()
	started := false
	var outcome error
	err = raw.Write(func(fd uintptr) bool {
		if !started {
			started = true
			outcome = unix.Connect(int(fd), sockaddr(to))
			return !errors.Is(outcome, unix.EINPROGRESS)
		}
		var pending int
		if pending, outcome = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); outcome == nil && pending != 0 {
			outcome = syscall.Errno(pending)
		}
		return true
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(err, outcome)
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}
