//go:build linux

package main

import (
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// server is the state of stage-1.
type server struct {
	control  int
	null     int
	launcher bool
	made     *wire.Setup // what the sandbox was made of; nil before Setup
	spawns   chan func() // run on the spawner's thread; nil before the first Start

	mu       sync.Mutex     // guards children; held from fork to entry, so that no exit is reaped unrecorded
	children map[int]uint64 // pid to the id of the request that started it

	reaping sync.Once
	wake    chan struct{} // a child exists: look for exits again
}

// failure says what failed; errno 0 is success.
type failure struct {
	stage string
	errno syscall.Errno
}

// haveSpawner begins the spawner, if there is none. A sandbox whose only process is a template's copy needs none, and what
// the spawner gives up takes as long as much else that stage-1 does.
func (s *server) haveSpawner() failure {
	if s.spawns != nil {
		return failure{}
	}
	spawns, ready := make(chan func()), make(chan failure)
	go onThread(func() { spawner(s.made, spawns, ready) })
	failed := <-ready
	if failed.errno == 0 {
		s.spawns = spawns
		makeThreads(spawnerThreads)
	}
	return failed
}

// onThread runs f on a thread that runs nothing else, ends with it, and is not the first. A process is signalled as its
// first thread may be: were that one behind Landlock's wall, those behind it might signal this process.
func onThread(f func()) {
	runtime.LockOSThread() // never unlocked: the thread is no good for anything else
	if unix.Gettid() == unix.Getpid() {
		begun := make(chan struct{})
		go func() {
			close(begun)
			onThread(f)
		}()
		<-begun // on another thread, because this one is taken
		runtime.UnlockOSThread()
		return
	}
	f()
}

// spawner owns the one thread that every process of the sandbox is forked from. That thread gives up for good
// what they must not have; what is left to it, changing the user, they lose in the moment they do it. The
// other threads of stage-1 keep their privilege inside the namespaces: they mount, reap and signal.
func spawner(m *wire.Setup, spawns <-chan func(), ready chan<- failure) {
	failed := confineSelf(m)
	ready <- failed
	if failed.errno != 0 {
		return
	}
	for spawn := range spawns {
		spawn()
	}
}

func confineSelf(m *wire.Setup) failure {
	steps, err := wire.DecodeSteps(m.Confine)
	if err != nil {
		return failure{"confinement", unix.EBADMSG}
	}
	if !m.Landlock {
		return confine(steps, nil)
	}
	ruleset, err := makeRuleset()
	if err != nil {
		return failure{"landlock", errnoOf(err)}
	}
	defer unix.Close(ruleset)
	return confine(steps, []int{ruleset})
}

// How many threads are more than Go wants. With a spawner it wants six: one each for that, the requests, the reaper and Go's
// monitor, one to make others from because one is locked, and one that runs what can while all others wait, in the kernel
// or for the goroutine that they are locked to. Without one it wants four. With just as many a fork bomb on a busy machine
// ended its sandbox.
const (
	spawnerThreads = 8
	copyThreads    = 6
)

// makeThreads has Go make so many threads while there is room for them. User code may take every process that the control
// group has left, and Go ends a program for which it cannot make a thread.
func makeThreads(n int) {
	leave := make(chan struct{})
	defer close(leave)
	for {
		if there, _ := runtime.ThreadCreateProfile(nil); there >= n {
			return
		}
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // the thread stays, for any goroutine
			close(locked)
			<-leave
		}()
		<-locked
	}
}

// start starts a process and answers.
func (s *server) start(id uint64, m *wire.Start, fds []int) {
	files, ok := s.files(m, fds)
	if !ok {
		s.reply(id, "descriptors", unix.EBADMSG, nil)
		return
	}
	if resolve(m.Dir, unix.O_DIRECTORY) != 0 {
		s.reply(id, "directory", unix.ENOTDIR, nil)
		return
	}
	if resolve(m.Path, 0) == unix.ELOOP {
		s.reply(id, "exec", unix.ELOOP, nil)
		return
	}
	if failed := s.haveSpawner(); failed.errno != 0 {
		s.reply(id, failed.stage, failed.errno, nil)
		return
	}
	done := make(chan failure)
	s.spawns <- func() { done <- s.fork(id, m, files) }
	failed := <-done
	s.preferForOOM(id)
	s.reply(id, failed.stage, failed.errno, nil)
}

// resolve looks for a path that may come from a stranger's image. Links of the kind of /proc/self/fd would lead into this
// process's own descriptors and program: ELOOP.
func resolve(path string, flags uint64) syscall.Errno {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == unix.ENOSYS { // a kernel in user space (gVisor), which is a wall of its own
		fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|int(flags), 0)
	}
	if err != nil {
		return errnoOf(err)
	}
	_ = unix.Close(fd)
	return 0
}

func (s *server) files(m *wire.Start, fds []int) ([]uintptr, bool) {
	files := []uintptr{uintptr(s.null), uintptr(s.null), uintptr(s.null)}
	for i, has := range [...]bool{m.HasStdout, m.HasStderr} {
		if !has {
			continue
		}
		if len(fds) == 0 {
			return nil, false
		}
		files[1+i], fds = uintptr(fds[0]), fds[1:]
	}
	if len(fds) != int(m.FilesCount) {
		return nil, false
	}
	for _, fd := range fds {
		files = append(files, uintptr(fd))
	}
	return files, true
}

// fork runs on the spawner's thread.
func (s *server) fork(id uint64, m *wire.Start, files []uintptr) failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Everything here is close-on-exec already; a descriptor that was forgotten would be a way out.
	if err := unix.CloseRange(3, maxFD, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failure{"close_range", errnoOf(err)}
	}
	attr := &syscall.SysProcAttr{Setsid: true}
	if !isUser(s.made.UID) {
		attr.Credential = &syscall.Credential{Uid: s.made.UID, Gid: s.made.GID}
	}
	pid, err := syscall.ForkExec(m.Path, m.Args, &syscall.ProcAttr{Dir: m.Dir, Env: m.Env, Files: files, Sys: attr})
	if err != nil {
		return failure{"exec", errnoOf(err)}
	}
	s.children[pid] = id
	s.wakeReaper()
	return failure{}
}

// wakeReaper is to be called when there is a child.
func (s *server) wakeReaper() {
	s.reaping.Do(func() { go s.reap() })
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// preferForOOM makes the kernel kill a started process before stage-1 when memory runs out, so that the sandbox can
// be reset. Where it fails stage-1 is the smallest process all the same. It takes privilege, which the spawner's thread has
// not.
func (s *server) preferForOOM(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid, started := range s.children {
		if started == id {
			preferForOOM(pid)
		}
	}
}

func preferForOOM(pid int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte("1000"))
	_ = unix.Close(fd)
}

// adopt takes a process that came in from outside for one that was started here. It is a child already: whoever forked it
// in here has ended.
func (s *server) adopt(id uint64, pid int) {
	makeThreads(copyThreads) // it has not been told yet what to run
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := unix.Kill(pid, 0); err != nil {
		s.reply(id, "adopt", errnoOf(err), nil)
		return
	}
	s.children[pid] = id
	preferForOOM(pid)
	s.reply(id, "", 0, nil)
	s.wakeReaper()
}

// signal signals a child that has not been reaped: its pid cannot be another's.
func (s *server) signal(id uint64, sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid, started := range s.children {
		if started == id {
			_ = unix.Kill(pid, sig)
		}
	}
}

// killAll kills every process but this one and waits until none is left. One pass is enough, because a fork
// does not complete under a pending SIGKILL. Everybody inside is a child of this process or becomes one, so nobody
// is left when there is no child.
func (s *server) killAll() syscall.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return errnoOf(err)
	}
	s.reapLocked(0)
	return 0
}

// stopAll stops every process but this one, or lets all go on.
func (s *server) stopAll(goOn bool) syscall.Errno {
	sig := unix.SIGSTOP
	if goOn {
		sig = unix.SIGCONT
	}
	if err := unix.Kill(-1, sig); err != nil && err != unix.ESRCH {
		return errnoOf(err)
	}
	return 0
}

// reap reports exits, of started processes and, silently, of orphans.
func (s *server) reap() {
	for {
		var info [128]byte // siginfo_t, not looked at: the wait leaves the child to be reaped under the lock
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, 0, 0)
		if errno == unix.ECHILD {
			<-s.wake
			continue
		}
		s.mu.Lock()
		s.reapLocked(unix.WNOHANG)
		s.mu.Unlock()
	}
}

// reapLocked reaps until there is no child left, or with WNOHANG none that has ended.
func (s *server) reapLocked(options int) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, options|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if id, started := s.children[pid]; started {
			delete(s.children, pid)
			m := wire.Exit{WaitStatus: uint32(status)}
			s.send(m.Encode(id), nil)
		}
	}
}
