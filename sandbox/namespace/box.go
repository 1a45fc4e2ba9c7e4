//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
	"hotaru/sandbox/namespace/erofs"
	"hotaru/sandbox/namespace/wire"
)

// box is one sandbox.
//
//	made -> (running <-> frozen) -> ended (stage-1 died) -> destroyed
//
// Lock order: op, then mu.
type box struct {
	sandbox.Sockets
	driver *Driver
	id     string // empty as long as it is a hull (hull.go); written under mu
	name   string // of its control groups: its ID, or one of no sandbox if it was a hull
	number int
	tmp    tmp
	late   late
	root   sandbox.Root
	limits []wire.Limit
	group  *cgroup.Group
	oom    *cgroup.OOMWatch
	house  *tenancy  // nil where this driver makes the namespaces itself
	link   io.Closer // to the outside; nil is none

	op     chan struct{} // holds one token while an operation is under way; guards the fields up to the next space
	frozen bool
	// started and attached decide over Attach.
	started, attached bool
	images            []*erofs.Image // those that it shows

	oomSeen atomic.Int64 // kills for lack of memory that have been dealt with

	mu        sync.Mutex          // guards the fields up to the next space
	inside    *inside             // nil before stage-1 was started; replaced under op too
	ended     bool                // Destroy has begun
	processes map[uint64]*process // not yet ended, by the id of the request that started them

	dying     chan struct{} // closed when Destroy begins
	destroyed chan struct{} // closed when nothing is left
	routines  sync.WaitGroup
}

// inside is a stage-1 that was started, and the way to it.
type inside struct {
	pidfd   *os.File
	control *control
	gone    chan struct{} // closed when stage-1, and so everything inside, has ended
}

func (b *box) ID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id
}

// label names the sandbox to a person, a hull by its control groups.
func (b *box) label() string {
	if id := b.ID(); id != "" {
		return id
	}
	return b.name
}

// begin waits for its turn to change the sandbox; end gives it back. An operation that waits for stage-1 is not
// in Destroy's way: that kills stage-1 first.
func (b *box) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.isDying() {
		return sandbox.ErrDestroyed
	}
	select {
	case b.op <- struct{}{}:
	case <-b.dying:
		return sandbox.ErrDestroyed
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.isDying() {
		b.end()
		return sandbox.ErrDestroyed
	}
	return nil
}

func (b *box) end() { <-b.op }

func (b *box) isDying() bool {
	select {
	case <-b.dying:
		return true
	default:
		return false
	}
}

// ask has stage-1 do something. When stage-1 is gone because Destroy killed it, that is the reason to give. It is to
// be called with the operation's token.
func (b *box) ask(ctx context.Context, id uint64, message []byte, files []*os.File) (reply, error) {
	r, err := b.inside.control.call(ctx, id, message, files)
	if errors.Is(err, sandbox.ErrEnded) && b.isDying() {
		return r, sandbox.ErrDestroyed
	}
	return r, err
}

// Attach moves more mounts in.
func (b *box) Attach(ctx context.Context, binds []sandbox.Bind) error {
	if err := sandbox.ValidateBinds(binds); err != nil {
		return err
	}
	if sandbox.UseImages(binds) && !b.driver.MountsImages() {
		return errNoImages
	}
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	switch {
	case b.started && b.attached:
		return sandbox.ErrSealed
	case b.frozen:
		return sandbox.ErrFrozen
	case b.house != nil:
		return b.attachToHouse(binds)
	}
	m := &mounts{erofs: b.driver.erofs}
	defer m.close()
	if err := m.addBinds(binds); err != nil {
		return err
	}
	b.keep(m)
	// Sealed even if it fails half-way: what is inside by then is not known.
	b.attached = b.started
	request := wire.Attach{Mounts: m.targets}
	id := b.inside.control.newID()
	if err := b.driver.at(PointAttach); err != nil {
		return err
	}
	if _, err := b.ask(ctx, id, request.Encode(id), m.files); err != nil {
		return fmt.Errorf("sandbox: attach: %w", err)
	}
	return nil
}

// Start has stage-1 start a process.
func (b *box) Start(ctx context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	defer b.end()
	if b.frozen {
		return nil, sandbox.ErrFrozen
	}
	if cmd.Template != nil {
		return b.fork(ctx, &cmd)
	}
	if err := b.moveIn(ctx); err != nil {
		return nil, err
	}
	request := wire.Start{Path: cmd.Path, Dir: cmd.Dir, Args: cmd.Args, Env: cmd.Env, FilesCount: uint32(len(cmd.Files))}
	if request.Dir == "" {
		request.Dir = "/"
	}
	var files []*os.File
	if cmd.Stdout != nil {
		request.HasStdout, files = true, append(files, cmd.Stdout)
	}
	if cmd.Stderr != nil {
		request.HasStderr, files = true, append(files, cmd.Stderr)
	}
	files = append(files, cmd.Files...)

	if err := b.driver.at(PointStart); err != nil {
		return nil, err
	}
	return b.beget(ctx, cmd.Path, request.Encode, files)
}

// beget has stage-1 start a process, or take one in, as the encoded request says.
func (b *box) beget(ctx context.Context, path string, encode func(id uint64) []byte, files []*os.File) (sandbox.Process, error) {
	control := b.inside.control
	id := control.newID()
	p := &process{control: control, id: id, done: make(chan struct{})}
	// Its end may be reported before its start is.
	b.mu.Lock()
	b.processes[id] = p
	b.mu.Unlock()
	b.started = true
	if _, err := b.ask(ctx, id, encode(id), files); err != nil {
		return nil, b.startFailed(ctx, p, path, err)
	}
	return p, nil
}

// startFailed makes sure that what did not start in the caller's eyes does not run.
func (b *box) startFailed(ctx context.Context, p *process, path string, err error) error {
	var refused *stageError
	if ctx.Err() != nil {
		// The request is on its way and requests are done in order: this meets the process or nobody.
		_ = p.send(syscall.SIGKILL)
		return err
	}
	b.mu.Lock()
	delete(b.processes, p.id)
	b.mu.Unlock()
	if errors.As(err, &refused) && refused.stage == "exec" {
		switch refused.errno {
		case unix.ENOENT, unix.EACCES, unix.ENOTDIR, unix.ENOEXEC, unix.ELOOP:
			return fmt.Errorf("%w: %s: %w", sandbox.ErrNotFound, path, refused.errno)
		}
	}
	return err
}

// Reset kills everything but stage-1.
func (b *box) Reset(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if b.frozen {
		if err := b.setFrozen(ctx, false); err != nil {
			return err
		}
	}
	if b.house != nil {
		return b.resetHouse(ctx)
	}
	return b.killAll(ctx)
}

// killAll is to be called with the operation's token. The ends of the processes are reported before the answer.
func (b *box) killAll(ctx context.Context) error {
	if err := b.driver.at(PointReset); err != nil {
		return err
	}
	request := wire.Reset{}
	id := b.inside.control.newID()
	if _, err := b.ask(ctx, id, request.Encode(id), nil); err != nil {
		return fmt.Errorf("sandbox: reset: %w", err)
	}
	return b.forgetOOM()
}

// forgetOOM counts from now on who is killed for lack of memory.
func (b *box) forgetOOM() error {
	kills, err := b.group.OOMKills()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	b.oomSeen.Store(kills)
	return nil
}

// SetLimits replaces the limits.
func (b *box) SetLimits(ctx context.Context, limits sandbox.Limits) error {
	if err := limits.Validate(); err != nil {
		return err
	}
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if err := b.group.SetLimits(b.driver.groupLimits(limits)); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// Weigh implements sandbox.Weigher. It waits for no other operation: only the group is touched.
func (b *box) Weigh(crowd int) error {
	err := b.group.SetWeight(crowd)
	if err != nil && b.isDying() {
		return sandbox.ErrDestroyed
	}
	return err
}

// Freeze stops everything inside, stage-1 included.
func (b *box) Freeze(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if b.frozen {
		return nil
	}
	return b.driver.step(PointFreeze, func() error { return b.setFrozen(ctx, true) })
}

// Thaw undoes Freeze.
func (b *box) Thaw(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	if !b.frozen {
		return nil
	}
	return b.driver.step(PointThaw, func() error { return b.setFrozen(ctx, false) })
}

// Stats reads the control groups. Stage-1, some 2 MB and five threads, is in them.
func (b *box) Stats(ctx context.Context) (sandbox.Stats, error) {
	if err := b.begin(ctx); err != nil {
		return sandbox.Stats{}, err
	}
	defer b.end()
	usage, err := b.group.Usage()
	if err != nil {
		return sandbox.Stats{}, fmt.Errorf("sandbox: %w", err)
	}
	b.driver.countProcesses(&usage, b.inside)
	return sandbox.Stats{MemoryBytes: usage.MemoryBytes, CPUTime: usage.CPUTime, PIDs: usage.PIDs}, nil
}
