//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// spawner starts every stage-1 through a launcher: a process of a megabyte, because the daemon is too big to fork
// (see stage1/launch.go). When the launcher dies, so does all that it started, and the next sandbox gets a
// new one.
//
// The launcher is forked from one OS thread that lives as long as the spawner. The parent-death signal is bound
// to the thread that forked, not to the process: with a thread of Go's pool that happens to end, it would
// take the launcher along.
type spawner struct {
	program *os.File // stage-1
	log     *slog.Logger
	forks   chan func()
	thread  sync.WaitGroup

	mu  sync.Mutex // guards the rest
	now *launcher  // nil before the first, and after one has died
}

// launcher is one launcher process.
type launcher struct {
	*control
	pid      int
	routines sync.WaitGroup
}

func startSpawner(program *os.File, log *slog.Logger) *spawner {
	s := &spawner{program: program, log: log, forks: make(chan func())}
	s.thread.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for fork := range s.forks {
			fork()
		}
	})
	return s
}

// stop ends the launcher and the thread. Not while a launch is under way.
func (s *spawner) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.end()
		s.now = nil
	}
	close(s.forks)
	s.thread.Wait()
}

// launch starts a stage-1, with the descriptors that wire.Launch asks for. It returns a pidfd that the
// caller closes.
func (s *spawner) launch(ctx context.Context, request wire.Launch, files []*os.File) (*os.File, error) {
	for attempt := 0; ; attempt++ {
		l, err := s.launcher()
		if err != nil {
			return nil, err
		}
		id := l.newID()
		r, err := l.call(ctx, id, request.Encode(id), files)
		if errors.Is(err, sandbox.ErrEnded) && attempt == 0 {
			s.bury(l)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sandbox: start stage-1: %w", err)
		}
		if len(r.files) != 1 {
			closeFiles(r.files)
			return nil, errors.New("sandbox: the launcher answers without a process")
		}
		return r.files[0], nil
	}
}

// launcher is the one that lives, or a new one.
func (s *spawner) launcher() (*launcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		return s.now, nil
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), ours.Close())
	}
	defer null.Close()
	l := &launcher{control: &control{conn: ours, waiting: map[uint64]chan reply{}, exit: func(uint64, uint32) bool { return false }}}
	standard := uintptr(rawFD(null))
	forked := make(chan struct{})
	s.forks <- func() {
		defer close(forked)
		l.pid, err = syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(rawFD(s.program)), []string{"hotaru-launcher"}, &syscall.ProcAttr{
			Dir:   "/",
			Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
			Files: []uintptr{uintptr(rawFD(theirs)), standard, standard},
			// What is beneath every sandbox: see enterBareRoot of stage-1.
			Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID},
		})
	}
	<-forked
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: start the launcher: %w", err), ours.Close())
	}
	l.routines.Go(func() {
		if err := l.read(); err != nil {
			s.log.Error("launcher killed", "error", err)
			l.conn.Close() // it ends, having nobody to talk to
		}
	})
	s.now = l
	return l, nil
}

// bury removes a launcher that has died.
func (s *spawner) bury(dead *launcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == dead {
		dead.end()
		s.now = nil
	}
}

// end kills the launcher and waits for it.
func (l *launcher) end() {
	_ = syscall.Kill(l.pid, syscall.SIGKILL) // not waited for yet: the number is its own
	for {
		if _, err := syscall.Wait4(l.pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	l.conn.Close()
	l.routines.Wait()
}

// waitForEnd waits until the process of a pidfd has ended, all of its pid namespace with it if it was process 1.
func waitForEnd(pidfd *os.File) {
	polled := []unix.PollFd{{Fd: int32(rawFD(pidfd)), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(polled, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
