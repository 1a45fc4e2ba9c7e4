//go:build linux

package main

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// The launcher exists because a new user namespace needs a real fork: Go cannot share memory with a child whose
// user map it has to write. To fork a daemon of 400 MB takes ten milliseconds, to fork this takes one.

// launch starts a stage-1 in namespaces of its own. False if this is not what a launcher is asked.
func (s *server) launch(id uint64, m *wire.Launch, fds []int) bool {
	wanted := 1
	if m.HasCgroup {
		wanted = 2
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
		s.null, s.launcher, s.spawns = null, true, make(chan func())
		go s.forkThread()
		go s.reap()
	}
	done := make(chan struct{})
	s.spawns <- func() {
		defer close(done)
		s.forkStage1(id, m, fds)
	}
	<-done
	return true
}

// forkThread is the thread that every stage-1 is forked from: their parent-death signal is bound to it, and it
// lives as long as the launcher.
func (s *server) forkThread() {
	runtime.LockOSThread()
	for spawn := range s.spawns {
		spawn()
	}
}

func (s *server) forkStage1(id uint64, m *wire.Launch, fds []int) {
	s.mu.Lock() // until the answer is out, it is not reaped: its number is its own
	defer s.mu.Unlock()
	one := func(inside, outside uint32) syscall.SysProcIDMap {
		return syscall.SysProcIDMap{ContainerID: int(inside), HostID: int(outside), Size: 1}
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
	if m.HasCgroup {
		attr.UseCgroupFD, attr.CgroupFD = true, fds[1]
	}
	null := uintptr(s.null)
	// The program is in a memfd, which has no other name than this one.
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"stage1"}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []uintptr{null, null, null, uintptr(fds[0])},
		Sys:   attr,
	})
	if err != nil {
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		s.reply(id, "new namespaces", errnoOf(err), nil)
		return
	}
	answer := wire.Reply{PID: uint32(pid)}
	s.send(answer.Encode(id), []int{pidfd})
	_ = unix.Close(pidfd)
	s.wakeReaper()
}
