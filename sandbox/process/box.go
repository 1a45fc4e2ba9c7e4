package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"hotaru/sandbox"
)

// box is a process group per started program, and listeners.
type box struct {
	sandbox.Sockets
	driver *Driver
	id     string

	mu        sync.Mutex
	paths     paths
	processes map[*process]struct{} // started and not yet waited for
	started   bool
	frozen    bool
	ended     bool // Destroy has begun

	destroyed chan struct{} // closed when Destroy has finished
}

func (b *box) ID() string { return b.id }

// Attach adds to the paths that later programs are started with. A running process cannot be shown anything.
func (b *box) Attach(_ context.Context, binds []sandbox.Bind) error {
	if err := sandbox.ValidateBinds(binds); err != nil {
		return err
	}
	if sandbox.UseImages(binds) {
		return errNoImages
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return sandbox.ErrDestroyed
	case b.frozen:
		return sandbox.ErrFrozen
	case b.started:
		return fmt.Errorf("sandbox: attach to running processes of the host: %w", errors.ErrUnsupported)
	}
	b.paths.add(binds)
	return nil
}

// Start starts the program as a child of the daemon, in a process group of its own.
func (b *box) Start(ctx context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	if cmd.Template != nil {
		return nil, fmt.Errorf("sandbox: a copy of a template: %w", errors.ErrUnsupported)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	defer null.Close()
	files := append([]*os.File{null, orNull(cmd.Stdout, null), orNull(cmd.Stderr, null)}, cmd.Files...)

	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return nil, sandbox.ErrDestroyed
	case b.frozen:
		return nil, sandbox.ErrFrozen
	}
	dir := b.paths.host(absoluteDir(cmd.Dir))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() { // else the program would be blamed
		return nil, fmt.Errorf("sandbox: no directory %s", cmd.Dir)
	}
	started, err := os.StartProcess(b.paths.host(cmd.Path), b.paths.args(cmd.Args), &os.ProcAttr{
		Dir:   dir,
		Env:   b.paths.env(cmd.Env),
		Files: files,
		Sys:   ownGroup(),
	})
	if err != nil {
		for _, reason := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC, syscall.ENOTDIR} {
			if errors.Is(err, reason) {
				return nil, fmt.Errorf("%w: %s: %w", sandbox.ErrNotFound, cmd.Path, err)
			}
		}
		return nil, fmt.Errorf("sandbox: start %s: %w", cmd.Path, err)
	}
	b.started = true
	p := &process{os: started, done: make(chan struct{})}
	b.processes[p] = struct{}{}
	go p.wait(b)
	return p, nil
}

// Reset kills the process groups and waits for the started programs. The listeners stay.
func (b *box) Reset(context.Context) error {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return sandbox.ErrDestroyed
	}
	dying := b.killLocked()
	b.frozen = false
	b.mu.Unlock()
	waitFor(dying)
	return nil
}

// killLocked kills every process group; a stopped process dies of SIGKILL as well.
func (b *box) killLocked() []*process {
	dying := make([]*process, 0, len(b.processes))
	for p := range b.processes {
		killGroup(p.os)
		dying = append(dying, p)
	}
	return dying
}

// waitFor ends, because SIGKILL cannot be refused. Giving up early would leave a process that nobody owns.
func waitFor(dying []*process) {
	for _, p := range dying {
		<-p.done
	}
}

// SetLimits does nothing, as Capabilities says.
func (b *box) SetLimits(context.Context, sandbox.Limits) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return sandbox.ErrDestroyed
	}
	return nil
}

// Freeze stops the started programs and the children that stayed in their process groups.
func (b *box) Freeze(context.Context) error { return b.setFrozen(true) }

// Thaw undoes Freeze.
func (b *box) Thaw(context.Context) error { return b.setFrozen(false) }

func (b *box) setFrozen(frozen bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return sandbox.ErrDestroyed
	}
	if b.frozen == frozen {
		return nil
	}
	for p := range b.processes {
		if err := stopGroup(p.os, frozen); err != nil {
			return fmt.Errorf("sandbox: freeze or thaw: %w", err)
		}
	}
	b.frozen = frozen
	return nil
}

// Stats counts the started programs; their children, memory and CPU time are not known.
func (b *box) Stats(context.Context) (sandbox.Stats, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return sandbox.Stats{}, sandbox.ErrDestroyed
	}
	return sandbox.Stats{PIDs: int64(len(b.processes))}, nil
}

// Destroy kills the process groups, waits for the started programs and closes the sockets.
func (b *box) Destroy(ctx context.Context) error {
	b.mu.Lock()
	first := !b.ended
	b.ended = true
	var dying []*process
	if first {
		dying = b.killLocked()
		b.CloseSockets()
	}
	b.mu.Unlock()
	if !first {
		select {
		case <-b.destroyed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	waitFor(dying)
	b.driver.forget(b.id)
	close(b.destroyed)
	return nil
}

// listen opens a socket on a free port of the host's loopback for each address.
func (b *box) listen(spec *sandbox.Spec) error {
	for _, address := range spec.Listen {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("sandbox: listen for %s: %w", address, err)
		}
		b.Streams[address] = listener
	}
	for _, address := range spec.ListenPacket {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("sandbox: listen for %s: %w", address, err)
		}
		b.Packets[address] = conn
	}
	return nil
}

// process is one program.
type process struct {
	os     *os.Process
	done   chan struct{}
	status sandbox.ExitStatus // valid once done is closed
}

func (p *process) wait(b *box) {
	state, err := p.os.Wait()
	p.status = sandbox.ExitStatus{Code: -1}
	if err == nil {
		p.status = exitStatus(state)
	}
	killGroup(p.os) // children that outlived the program
	b.mu.Lock()
	delete(b.processes, p)
	b.mu.Unlock()
	close(p.done)
}

// Signal sends a signal to the program alone.
func (p *process) Signal(sig syscall.Signal) error { return p.os.Signal(sig) }

func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Status() sandbox.ExitStatus { return p.status }
