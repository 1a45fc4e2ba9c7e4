//go:build linux

// Command stage1 is the init program of a sandbox: process 1 of its own pid namespace, root of its own user
// namespace and nobody outside of it. It is also, as a process of its own, the launcher that starts those. The namespace driver starts it from a sealed memfd with one descriptor, a
// control socket, and tells it what to mount, where to listen and what to start. It reaps, and it ends when
// the driver does. User code never runs in it. It must not know functions, and it imports next to nothing
// (no os, no fmt, no net), because a sandbox starts no faster than this does.
package main

import (
	"errors"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/furnish"
	"hotaru/sandbox/namespace/wire"
)

// controlFD is where the driver leaves the control socket: standard input, which every OCI runtime hands on.
const controlFD = 0

func main() {
	// Nobody may read or trace this process, not even through a bug in /proc.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	syscall.Umask(0o022)

	s := &server{control: controlFD, children: map[int]uint64{}, wake: make(chan struct{}, 1)}
	s.serve()
	// Ending process 1 ends everything in the sandbox.
	syscall.Exit(0)
}

// serve answers requests, one at a time and in order, until the driver is gone or sends what is no request.
func (s *server) serve() {
	message := make([]byte, wire.MaxRequest+1)
	ancillary := make([]byte, unix.CmsgSpace(4*wire.MaxFDs))
	for {
		fds, fields, header, ok := s.receive(message, ancillary)
		if !ok {
			return
		}
		if header.Type == wire.TypeLaunch && !s.launcher {
			s.serveLaunches(header, fields, fds)
			return
		}
		if !s.handle(header, fields, fds) {
			return
		}
	}
}

func (s *server) handle(header wire.Header, fields []byte, fds []int) bool {
	defer closeAll(fds)
	return s.dispatch(header, fields, fds)
}

// receive reads one message and its descriptors.
func (s *server) receive(message, ancillary []byte) ([]int, []byte, wire.Header, bool) {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(s.control, message, ancillary, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			return nil, nil, wire.Header{}, false
		}
		fds, ok := rights(ancillary[:oobn])
		if !ok {
			return nil, nil, wire.Header{}, false
		}
		header, fields, err := wire.Open(message[:n], wire.MaxRequest)
		return fds, fields, header, err == nil
	}
}

func rights(ancillary []byte) ([]int, bool) {
	if len(ancillary) == 0 {
		return nil, true
	}
	messages, err := unix.ParseSocketControlMessage(ancillary)
	if err != nil {
		return nil, false
	}
	var fds []int
	for i := range messages {
		received, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, false
		}
		fds = append(fds, received...)
	}
	return fds, true
}

// dispatch handles one request. False ends the sandbox: the driver speaks another language.
func (s *server) dispatch(header wire.Header, fields []byte, fds []int) bool {
	if header.Type == wire.TypeLaunch {
		var m wire.Launch
		return (s.launcher || s.made == nil) && m.Decode(fields) == nil && s.launch(header.ID, &m, fds)
	}
	if header.Type == wire.TypeTemplate {
		var m wire.Template
		return !s.launcher && s.made == nil && m.Decode(fields) == nil && s.becomeTemplate(header.ID, &m, fds)
	}
	if s.launcher || s.made == nil && header.Type != wire.TypeSetup {
		return false
	}
	switch header.Type {
	case wire.TypeSetup:
		var m wire.Setup
		return s.made == nil && m.Decode(fields) == nil && s.setup(header.ID, &m, fds)
	case wire.TypeStart:
		var m wire.Start
		if m.Decode(fields) != nil {
			return false
		}
		s.start(header.ID, &m, fds)
	case wire.TypeSignal:
		var m wire.Signal
		if m.Decode(fields) != nil {
			return false
		}
		s.signal(header.ID, syscall.Signal(m.Number))
	case wire.TypeAttach:
		var m wire.Attach
		if m.Decode(fields) != nil || len(m.Mounts) != len(fds) {
			return false
		}
		stage, errno := mountAll(m.Mounts, fds)
		s.reply(header.ID, stage, errno, nil)
	case wire.TypeSocket:
		var m wire.Socket
		if m.Decode(fields) != nil {
			return false
		}
		s.socket(header.ID, &m)
	case wire.TypeRuleset:
		var m wire.Ruleset
		if m.Decode(fields) != nil {
			return false
		}
		s.lendRuleset(header.ID)
	case wire.TypeAdopt:
		var m wire.Adopt
		if m.Decode(fields) != nil {
			return false
		}
		s.adopt(header.ID, int(m.PID))
	case wire.TypeStop:
		var m wire.Stop
		if m.Decode(fields) != nil {
			return false
		}
		s.reply(header.ID, "stop", s.stopAll(m.GoOn), nil)
	case wire.TypeReset:
		var m wire.Reset
		if m.Decode(fields) != nil {
			return false
		}
		s.reply(header.ID, "reset", s.killAll(), nil)
	default:
		return false
	}
	return true
}

// setup makes the sandbox and starts what serves it. The reply carries the listening sockets.
func (s *server) setup(id uint64, m *wire.Setup, fds []int) bool {
	stage, errno := s.build(m, fds)
	if errno != 0 {
		s.reply(id, stage, errno, nil)
		return false
	}
	listeners, stage, errno := listenAll(m.Listen)
	if errno == 0 {
		s.made = m
	}
	s.reply(id, stage, errno, listeners)
	closeAll(listeners)
	return errno == 0
}

// makeInside makes what is seen inside, unless stage-1 was born into it.
func makeInside(m *wire.Setup, fds []int) (string, syscall.Errno) {
	mounts := len(m.Mounts) + 1
	if m.Housed {
		mounts = 0
	}
	if len(fds) != mounts {
		return "descriptors", unix.EBADMSG
	}
	if m.Housed {
		return "", 0
	}
	if stage, errno := enterRootWithProc(fds[0], m.Mounts, fds[1:]); errno != 0 {
		return stage, errno
	}
	if err := unix.Sethostname([]byte(m.Hostname)); err != nil {
		return "hostname", errnoOf(err)
	}
	if err := furnish.LoopbackUp(); err != nil {
		return "loopback", errnoOf(err)
	}
	return "", 0
}

// build does what must be done before anything may start.
func (s *server) build(m *wire.Setup, fds []int) (string, syscall.Errno) {
	if stage, errno := makeInside(m, fds); errno != 0 {
		return stage, errno
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "/dev/null", errnoOf(err)
	}
	s.null = null
	for _, limit := range m.Limits {
		// syscall's, not unix's: it also tells the Go runtime not to restore the old limit in children.
		if err := syscall.Setrlimit(int(limit.Resource), &syscall.Rlimit{Cur: limit.Most, Max: limit.Most}); err != nil {
			return "rlimit", errnoOf(err)
		}
	}
	return "", 0
}

// reply sends the outcome of a request. A driver that cannot be told is gone, which the next read finds out.
func (s *server) reply(id uint64, stage string, errno syscall.Errno, fds []int) {
	m := wire.Reply{Errno: uint32(errno)}
	if errno != 0 {
		m.Stage, fds = stage, nil
	}
	s.send(m.Encode(id), fds)
}

// send sends a message; a closed socket is found out by the next read.
func (s *server) send(message []byte, fds []int) {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for unix.Sendmsg(s.control, message, oob, nil, unix.MSG_NOSIGNAL) == unix.EINTR {
		runtime.Gosched()
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
