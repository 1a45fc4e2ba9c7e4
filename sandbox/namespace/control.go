//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// sendTimeout is how long a message may wait for room in the socket: a stage-1 that reads nothing for so long
// is broken or frozen.
const sendTimeout = 5 * time.Second

// control is the driver's end of the conversation with one stage-1. What stage-1 says is checked as if user
// code had taken it over: a message that is none, or that nobody waits for, ends the sandbox.
type control struct {
	conn *net.UnixConn
	exit func(id uint64, status uint32) bool // a process ended; false if there is none of that id

	mu      sync.Mutex
	next    uint64                // the last request's id
	waiting map[uint64]chan reply // by request id; nil once stage-1 is gone
}

// reply is stage-1's answer, with the descriptors that came along.
type reply struct {
	wire.Reply
	files []*os.File
	// lost says that this process had no room for all of the descriptors.
	lost bool
}

// stageError is a request that stage-1 could not do.
type stageError struct {
	stage string
	errno syscall.Errno
}

func (e *stageError) Error() string { return fmt.Sprintf("sandbox: %s: %v", e.stage, e.errno) }
func (e *stageError) Unwrap() error { return e.errno }

// socketPair makes the two ends; theirs is to become a descriptor of stage-1.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "control")
	file := os.NewFile(uintptr(fds[0]), "control")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("sandbox: %w", err), theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// newID reserves a request id.
func (c *control) newID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.next
}

// call sends a request and waits for its answer. ErrEnded says that stage-1 is gone. When the context ends first
// the request is still on its way.
func (c *control) call(ctx context.Context, id uint64, message []byte, files []*os.File) (reply, error) {
	answer := make(chan reply, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return reply{}, sandbox.ErrEnded
	}
	c.waiting[id] = answer
	c.mu.Unlock()
	if err := c.send(message, files); err != nil {
		c.abandon(id)
		return reply{}, err
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return reply{}, sandbox.ErrEnded
		}
		if r.Errno != 0 {
			return reply{}, &stageError{r.Stage, syscall.Errno(r.Errno)}
		}
		if r.lost {
			closeFiles(r.files)
			return reply{}, fmt.Errorf("sandbox: descriptors from stage-1: %w", unix.EMFILE)
		}
		return r, nil
	case <-ctx.Done():
		c.abandon(id)
		select {
		case r := <-answer: // it came in this moment
			closeFiles(r.files)
		default:
		}
		return reply{}, context.Cause(ctx)
	}
}

// abandon leaves an entry that swallows the answer when it comes after all.
func (c *control) abandon(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil && c.waiting[id] != nil {
		c.waiting[id] = nil
	}
}

func (c *control) send(message []byte, files []*os.File) error {
	if len(message) > wire.MaxRequest {
		return fmt.Errorf("sandbox: %d bytes of arguments and environment, more than %d", len(message), wire.MaxRequest)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, file := range files {
			fds[i] = rawFD(file)
		}
		oob = unix.UnixRights(fds...)
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return sandbox.ErrEnded
	}
	if _, _, err := c.conn.WriteMsgUnix(message, oob, nil); err != nil {
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
			return sandbox.ErrEnded
		}
		return fmt.Errorf("sandbox: tell stage-1: %w", err)
	}
	return nil
}

// read handles what stage-1 says until it is gone or says what it must not; that is the error. Then nobody waits
// any more.
func (c *control) read() error {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, answer := range c.waiting {
			if answer != nil {
				close(answer)
			}
		}
		c.waiting = nil
	}()
	message := make([]byte, wire.MaxReply+1)
	oob := make([]byte, unix.CmsgSpace(4*sandbox.MaxListen))
	for {
		n, oobn, flags, _, err := c.conn.ReadMsgUnix(message, oob)
		if err != nil || n == 0 {
			return nil
		}
		files, err := received(oob[:oobn])
		// The kernel cuts off what there is no room for: in the buffer, which is stage-1's fault, or in this
		// process's table, which is not.
		lost := flags&unix.MSG_CTRUNC != 0 && len(files) < sandbox.MaxListen
		if err == nil && (flags&unix.MSG_TRUNC != 0 || flags&unix.MSG_CTRUNC != 0 && !lost) {
			err = wire.ErrLength
		}
		kept := false
		if err == nil {
			kept, err = c.handle(message[:n], files, lost)
		}
		if !kept {
			closeFiles(files)
		}
		if err != nil {
			return fmt.Errorf("sandbox: stage-1 misbehaves: %w", err)
		}
	}
}

// handle says whether it passed the files on.
func (c *control) handle(message []byte, files []*os.File, lost bool) (kept bool, err error) {
	header, fields, err := wire.Open(message, wire.MaxReply)
	if err != nil {
		return false, err
	}
	switch header.Type {
	case wire.TypeReply:
		r := reply{files: files, lost: lost}
		if err := r.Decode(fields); err != nil {
			return false, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		answer, asked := c.waiting[header.ID]
		if !asked {
			return false, errors.New("a reply to nothing")
		}
		delete(c.waiting, header.ID)
		if answer == nil {
			return false, nil
		}
		answer <- r // has room for one, and there is one
		return true, nil
	case wire.TypeExit:
		var m wire.Exit
		if err := m.Decode(fields); err != nil {
			return false, err
		}
		if !c.exit(header.ID, m.WaitStatus) {
			return false, errors.New("the exit of no process")
		}
		return false, nil
	}
	return false, wire.ErrType
}

func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "from stage-1"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// rawFD is a file's descriptor without the side effect of File.Fd, which makes the file blocking: the caller's
// end of a pipe would lose its deadlines.
func rawFD(file *os.File) int {
	fd := -1
	if conn, err := file.SyscallConn(); err == nil {
		_ = conn.Control(func(raw uintptr) { fd = int(raw) })
	}
	return fd
}
