//go:build linux

package main

import (
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// The launcher exists because a new user namespace needs a real fork: Go cannot share memory with a child whose
// user map it has to write. To fork a daemon of 400 MB takes ten milliseconds, to fork this takes one.

// serveLaunches answers a launcher's first request and those after it, on the thread that every stage-1 is forked from: their
// parent-death signal is bound to it. It is not the first, which the memory of the whole process is charged to.
func (s *server) serveLaunches(header wire.Header, fields []byte, fds []int) {
	done := make(chan struct{})
	go onThread(func() {
		defer close(done)
		if s.handle(header, fields, fds) {
			s.serve()
		}
	})
	<-done
}

// launch starts a stage-1 in namespaces of its own. False if this is not what a launcher is asked.
func (s *server) launch(id uint64, m *wire.Launch, fds []int) bool {
	wanted := 1 + 2*int(m.Groups)
	if m.HasCgroup {
		wanted++
	}
	if len(fds) != wanted {
		return false
	}
	if !s.launcher {
		null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			s.reply(id, "/dev/null", errnoOf(err), nil)
			return false
		}
		if stage, errno := enterBareRoot(); errno != 0 {
			s.reply(id, stage, errno, nil)
			return false
		}
		s.null, s.launcher = null, true
	}
	s.forkStage1(id, m, fds)
	return true
}

// join moves the calling thread, and no other, into control groups through their "tasks" files. A child is born
// where its parent is, and moving a thread oneself is free, whereas to move a process makes the kernel wait
// for all CPUs: 15 ms on an idle machine.
func join(tasks []int) error {
	for _, fd := range tasks {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return err
		}
	}
	return nil
}

// stage1Caps are the capabilities that a stage-1 uses.
func stage1Caps() []uintptr {
	return []uintptr{
		unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP, unix.CAP_KILL,
		unix.CAP_SYS_RESOURCE, unix.CAP_SYS_PTRACE, unix.CAP_DAC_OVERRIDE, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SYS_CHROOT,
	}
}

func (s *server) forkStage1(id uint64, m *wire.Launch, fds []int) {
	s.mu.Lock() // ForkExec itself waits for a child that cannot execute
	defer s.mu.Unlock()
	one := func(inside, outside uint32) syscall.SysProcIDMap {
		return syscall.SysProcIDMap{ContainerID: int(inside), HostID: int(outside), Size: 1}
	}
	groups := fds[len(fds)-2*int(m.Groups):]
	enter, leave := groups[:m.Groups], groups[m.Groups:]
	defer func() {
		if join(leave) != nil {
			syscall.Exit(1) // in a sandbox's group for good: no more use as a launcher
		}
	}()
	if err := join(enter); err != nil {
		s.reply(id, "control groups", errnoOf(err), nil)
		return
	}
	pidfd := -1
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC, // the cgroup namespace follows, once the groups are joined
		UidMappings:                []syscall.SysProcIDMap{one(0, m.InitID), one(m.UID, m.UserID)},
		GidMappings:                []syscall.SysProcIDMap{one(0, m.InitID), one(m.GID, m.UserID)},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
		Pdeathsig:                  syscall.SIGKILL,
		Setsid:                     true,
		PidFD:                      &pidfd,
	}
	if m.Template {
		// It has no user namespace, so that it owns those of the sandboxes, and sees their processes.
		attr.Cloneflags &^= unix.CLONE_NEWUSER | unix.CLONE_NEWPID
		attr.UidMappings, attr.GidMappings, attr.GidMappingsEnableSetgroups, attr.Credential = nil, nil, false, nil
	} else if m.InitID == m.UserID {
		// An ordinary user's only id cannot be two users inside. Stage-1 is the user then, and root by its
		// capabilities alone, which it keeps through its start as ambient ones.
		attr.UidMappings, attr.GidMappings = []syscall.SysProcIDMap{one(m.UID, m.UserID)}, []syscall.SysProcIDMap{one(m.GID, m.UserID)}
		attr.GidMappingsEnableSetgroups, attr.Credential, attr.AmbientCaps = false, nil, stage1Caps()
	}
	if m.HasCgroup {
		attr.UseCgroupFD, attr.CgroupFD = true, fds[1]
	}
	null := uintptr(s.null)
	// The program is in a memfd, which has no other name than this one.
	_, err := syscall.ForkExec("/proc/self/exe", []string{"stage1"}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []uintptr{uintptr(fds[0]), null, null},
		Sys:   attr,
	})
	if err != nil {
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		s.reply(id, "new namespaces", errnoOf(err), nil)
		return
	}
	s.reply(id, "", 0, []int{pidfd})
	_ = unix.Close(pidfd)
	s.wakeReaper()
}
