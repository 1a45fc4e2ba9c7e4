//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// process is one process inside.
type process struct {
	control *control // stage-1's that started it
	id      uint64
	done    chan struct{}
	status  sandbox.ExitStatus // valid once done is closed
}

// Signal has stage-1 signal the process.
func (p *process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
	}
	err := p.send(sig)
	if errors.Is(err, sandbox.ErrEnded) {
		return os.ErrProcessDone
	}
	return err
}

func (p *process) send(sig syscall.Signal) error {
	if sig < 0 || sig > 64 {
		return syscall.EINVAL
	}
	m := wire.Signal{Number: uint32(sig)}
	return p.control.send(m.Encode(p.id), nil)
}

func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Status() sandbox.ExitStatus { return p.status }

// exited takes the report of a process's end.
func (b *box) exited(id uint64, raw uint32) bool {
	wait := syscall.WaitStatus(raw)
	status := sandbox.ExitStatus{Code: wait.ExitStatus()}
	if wait.Signaled() {
		status = sandbox.ExitStatus{Signal: wait.Signal()}
		status.OOMKilled = status.Signal == syscall.SIGKILL && b.ranOutOfMemory()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p, known := b.processes[id]
	if !known {
		return false
	}
	delete(b.processes, id)
	p.status = status
	close(p.done)
	return true
}

// ranOutOfMemory says whether the kernel has killed in this sandbox since it was made or reset.
func (b *box) ranOutOfMemory() bool {
	kills, err := b.group.OOMKills()
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a runtime that fails removes the group
		b.driver.log.Warn("reading out-of-memory kills", "sandbox", b.label(), "error", err)
	}
	return kills > b.oomSeen.Load()
}

// kill kills stage-1, if there is one and it has not ended.
func (b *box) kill() {
	b.mu.Lock()
	in := b.inside
	b.mu.Unlock()
	if in != nil {
		b.killInside(in)
	}
}

func (b *box) killInside(in *inside) {
	if err := unix.PidfdSendSignal(rawFD(in.pidfd), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		b.driver.log.Error("killing stage-1", "sandbox", b.label(), "error", err)
	}
}

// enter begins to listen to a stage-1 that has been started.
func (b *box) enter(pidfd *os.File, conn *net.UnixConn) {
	in := &inside{
		pidfd: pidfd, gone: make(chan struct{}),
		control: &control{conn: conn, exit: b.exited, waiting: map[uint64]chan reply{}},
	}
	b.mu.Lock()
	b.inside = in
	b.mu.Unlock()
	b.routines.Go(func() { b.listen(in) })
}

// leave waits for the end of stage-1, having killed it.
func (b *box) leave(in *inside) {
	b.killInside(in)
	<-in.gone
	in.control.conn.Close()
	in.pidfd.Close()
	b.mu.Lock()
	b.inside = nil
	b.mu.Unlock()
}

// listen is the goroutine that hears stage-1 until it has ended: process 1 is the last of its pid namespace to be
// gone.
func (b *box) listen(in *inside) {
	if err := in.control.read(); err != nil {
		b.driver.log.Error("sandbox killed", "sandbox", b.label(), "error", err)
	}
	b.killInside(in)
	waitForEnd(in.pidfd)
	end := sandbox.ExitStatus{Signal: syscall.SIGKILL, OOMKilled: b.ranOutOfMemory()}
	b.mu.Lock()
	for id, p := range b.processes {
		delete(b.processes, id)
		p.status = end
		close(p.done)
	}
	b.mu.Unlock()
	close(in.gone)
}

// watchMemory is the goroutine that kills the rest when the kernel has killed one process for lack of memory:
// half a process tree is of no use to anybody.
func (b *box) watchMemory() {
	for b.oom.Next() {
		if err := b.outOfMemory(); err != nil && !errors.Is(err, sandbox.ErrDestroyed) && !errors.Is(err, sandbox.ErrEnded) {
			b.driver.log.Warn("killing after running out of memory", "sandbox", b.label(), "error", err)
		}
	}
}

func (b *box) outOfMemory() error {
	// Version 1 tells just before the kernel kills, and frees memory instead of killing if it can.
	for wait := 100 * time.Microsecond; !b.ranOutOfMemory(); wait *= 2 {
		if wait > 100*time.Millisecond {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-b.dying:
			return nil
		}
	}
	if err := b.begin(context.Background()); err != nil {
		return err
	}
	defer b.end()
	if !b.ranOutOfMemory() || b.inside == nil { // a reset came first
		return nil
	}
	if b.house != nil {
		// A kernel in user space may be what ran out of memory, and it need not survive that.
		return b.group.Kill(context.Background())
	}
	return b.killAll(context.Background())
}

// Destroy kills everything and removes every trace.
func (b *box) Destroy(ctx context.Context) error {
	b.mu.Lock()
	first := !b.ended
	b.ended = true
	b.mu.Unlock()
	if !first {
		select {
		case <-b.destroyed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	close(b.dying)
	b.driver.removals <- struct{}{}
	defer func() { <-b.driver.removals }()
	b.kill()           // whoever waits for stage-1 is told that it has ended
	b.op <- struct{}{} // never given back; remove thaws what was frozen in between
	return b.remove()
}

// remove gives back what make acquired, as far as it got. Giving up half-way would leave something that nobody
// owns, so only the removal of control groups is bounded.
func (b *box) remove() error {
	d := b.driver
	failures := []error{d.at(PointKill)}
	if b.inside != nil {
		// A process that version 1 has frozen does not die.
		failures = append(failures, b.group.Thaw())
		// The end of process 1 is the end of its pid namespace, and nobody inside can be outside that.
		b.leave(b.inside)
	}
	if b.oom != nil {
		b.oom.Close()
	}
	b.routines.Wait()
	failures = append(failures, b.leaveNetwork())
	b.CloseSockets()
	if b.house != nil {
		failures = append(failures, b.house.vacate(b.group))
	}
	for _, image := range b.images {
		image.Release()
	}
	failures = append(failures, d.step(PointRemoveTmp, b.closeTmp))
	if b.group != nil {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		failures = append(failures, d.step(PointRemoveGroup, func() error { return b.group.Remove(ctx) }))
		cancel()
	}
	if b.id != "" { // a hull has no directory
		failures = append(failures, d.step(PointRemoveDirectory, func() error { return d.state.removeSandbox(b.id) }))
	}
	failures = append(failures, d.at(PointGone))
	err := errors.Join(failures...)
	if err == nil {
		d.giveNumber(b.number)
		d.forget(b.id) // a hull's is none
	}
	close(b.destroyed)
	return err
}
