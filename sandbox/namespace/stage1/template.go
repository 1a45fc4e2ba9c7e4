//go:build linux

package main

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// templateFD is where a template finds the control socket. Descriptor 3 is that of its copies' conversations.
const templateFD = 4

// becomeTemplate executes the program of a template, which answers the request. Whoever comes back from it has failed.
func (s *server) becomeTemplate(id uint64, m *wire.Template, fds []int) bool {
	failed := s.executeTemplate(m, fds)
	s.reply(id, failed.stage, failed.errno, nil)
	return false
}

func (s *server) executeTemplate(m *wire.Template, fds []int) failure {
	if len(fds) != len(m.Mounts)+2 {
		return failure{"descriptors", unix.EBADMSG}
	}
	output := fds[len(fds)-1]
	if stage, errno := enterRoot(fds[0], m.Mounts, fds[1:len(fds)-1]); errno != 0 {
		return failure{stage, errno}
	}
	if err := unix.Chdir(m.Dir); err != nil {
		return failure{"directory", errnoOf(err)}
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return failure{"/dev/null", errnoOf(err)}
	}
	// What is confined is the thread: it is the one that executes.
	runtime.LockOSThread()
	if failed := confine(m.Confine, nil); failed.errno != 0 {
		return failed
	}
	if err := unix.CloseRange(3, maxFD, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failure{"close_range", errnoOf(err)}
	}
	control, err := unix.FcntlInt(uintptr(s.control), unix.F_DUPFD_CLOEXEC, templateFD+1)
	if err != nil {
		return failure{"descriptors", errnoOf(err)}
	}
	s.control = control // to answer on, if this fails
	for _, fd := range [...]*int{&null, &output} {
		if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, templateFD+1); err != nil {
			return failure{"descriptors", errnoOf(err)}
		}
	}
	for target, source := range [...]int{null, output, output, null, templateFD: control} {
		if err := unix.Dup3(source, target, 0); err != nil {
			return failure{"descriptors", errnoOf(err)}
		}
	}
	return failure{"exec", errnoOf(syscall.Exec(m.Path, m.Args, m.Env))}
}
