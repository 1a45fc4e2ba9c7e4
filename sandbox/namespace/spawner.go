//go:build linux && (amd64 || arm64)

package namespace

import (
	"runtime"
	"sync"
)

// spawner owns one OS thread from which every stage-1 is cloned. The parent-death signal is bound to the thread
// that cloned, not to the process: from a thread of Go's pool that happens to end, it would kill a sandbox.
type spawner struct {
	work chan func()
	done sync.WaitGroup
}

func startSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	s.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.work {
			f()
		}
	})
	return s
}

// do runs f on the thread and waits for it. Not after stop.
func (s *spawner) do(f func()) {
	finished := make(chan struct{})
	s.work <- func() {
		defer close(finished)
		f()
	}
	<-finished
}

func (s *spawner) stop() {
	close(s.work)
	s.done.Wait()
}
