//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// A copy of a template comes in through three forks. The first child is born into the control groups and enters the
// namespaces: the process namespace is then its children's. The second is in there, and ends once it has forked the third,
// whose parent is stage-1 from then on, as if that had started it.

// copyTimeout is how long a copy may take: one that takes longer has a template that does not work any more.
const copyTimeout = 5 * time.Second

// namespaces are those that a copy enters, all at once: the user namespace gives the right to the others.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// fork has a template's copy come in and stage-1 adopt it. It is to be called with the operation's token.
func (b *box) fork(ctx context.Context, cmd *sandbox.Command) (sandbox.Process, error) {
	t, ok := cmd.Template.(*template)
	if !ok {
		return nil, fmt.Errorf("sandbox: a template of another driver: %w", errors.ErrUnsupported)
	}
	if err := t.serves(b); err != nil {
		return nil, err
	}
	if b.started {
		return nil, sandbox.ErrSealed
	}
	if err := b.driver.at(PointFork); err != nil {
		return nil, err
	}
	pid, err := b.bringIn(ctx, t, cmd)
	if err != nil {
		return nil, err
	}
	if err := b.driver.at(PointAdopt); err != nil {
		return nil, err
	}
	request := wire.Adopt{PID: pid}
	return b.beget(ctx, cmd.Path, request.Encode, nil)
}

// bringIn returns the number of the copy inside.
func (b *box) bringIn(ctx context.Context, t *template, cmd *sandbox.Command) (pid uint32, err error) {
	report, theirs, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("sandbox: %w", err)
	}
	defer report.Close()
	defer theirs.Close()
	request, files, drop, err := b.forkOf(ctx, cmd, theirs)
	if err != nil {
		return 0, err
	}
	id := t.control.newID()
	err = t.control.send(request.Encode(id), files)
	drop()
	theirs.Close() // the pipe ends with the last of those who could say anything
	if err != nil {
		return 0, fmt.Errorf("sandbox: template: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	stop := context.AfterFunc(waiting, func() { _ = report.SetReadDeadline(time.Unix(1, 0)) }) // a pipe has deadlines
	defer stop()
	message, err := io.ReadAll(io.LimitReader(report, wire.MaxReply))
	if waiting.Err() != nil {
		// A copy that still comes in has nobody to report to, and ends. Whether it has reported is not known.
		b.started = true
		return 0, fmt.Errorf("sandbox: waiting for the template's copy: %w", context.Cause(waiting))
	}
	if err != nil {
		return 0, fmt.Errorf("sandbox: template: %w", err)
	}
	return readForked(message, id)
}

// readForked reads what a copy says last.
func readForked(message []byte, id uint64) (uint32, error) {
	if len(message) == 0 {
		return 0, errors.New("sandbox: the template's copy ended on its way")
	}
	header, fields, err := wire.Open(message, wire.MaxReply)
	var m wire.Forked
	if err == nil {
		err = m.Decode(fields)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("sandbox: the template's copy: %w", err)
	case header != wire.Header{Type: wire.TypeForked, ID: id}:
		return 0, errors.New("sandbox: the template's copy answers something else")
	case m.Errno != 0:
		return 0, fmt.Errorf("sandbox: the template's copy: %w", &stageError{m.Stage, syscall.Errno(m.Errno)})
	case m.PID <= 1:
		return 0, errors.New("sandbox: the template's copy has no number")
	}
	return m.PID, nil
}

// forkOf is what a template is asked for a copy in this sandbox. drop closes those of the files that are nobody else's.
func (b *box) forkOf(ctx context.Context, cmd *sandbox.Command, report *os.File) (m wire.Fork, files []*os.File, drop func(), err error) {
	var own []*os.File
	defer func() {
		if err != nil {
			closeFiles(own)
		}
	}()
	files = []*os.File{report}
	add := func(file *os.File) wire.Arg {
		files = append(files, file)
		return wire.Descriptor(len(files) - 1)
	}
	unified, err := b.group.OpenUnified()
	if err != nil {
		return m, nil, nil, err
	}
	if unified != nil {
		own = append(own, unified)
		m.HasCgroup = true
		add(unified)
	}
	if cmd.Stdout != nil {
		m.HasStdout = true
		add(cmd.Stdout)
	}
	if cmd.Stderr != nil {
		m.HasStderr = true
		add(cmd.Stderr)
	}
	for _, file := range cmd.Files {
		add(file)
	}
	m.FilesCount, m.Dir = uint32(len(cmd.Files)), cmd.Dir
	if m.Dir == "" {
		m.Dir = "/"
	}
	enter, err := b.group.OpenTasks()
	if err != nil {
		return m, nil, nil, err
	}
	own = append(own, enter...)
	for _, tasks := range enter {
		m.Enter = append(m.Enter, step("control groups", unix.SYS_WRITE, add(tasks), wire.Data([]byte("0")), wire.Number(1)))
	}
	m.Enter = append(m.Enter, step("namespaces", unix.SYS_SETNS, add(b.inside.pidfd), wire.Number(namespaces)))
	if b.driver.landlock {
		id := b.inside.control.newID()
		r, err := b.ask(ctx, id, (&wire.Ruleset{}).Encode(id), nil)
		if err != nil {
			return m, nil, nil, err
		}
		own = append(own, r.files...)
		if len(r.files) != 1 {
			return m, nil, nil, errors.New("sandbox: stage-1 sent no ruleset")
		}
		add(r.files[0])
	}
	m.Become = b.becoming(len(files) - 1)
	return m, files, func() { closeFiles(own) }, nil
}

// becoming is what makes a copy a process of the sandbox: all that stage-1's own have had done to them, before they were
// forked or by executing a program.
func (b *box) becoming(ruleset int) []wire.Step {
	steps := []wire.Step{step("session", unix.SYS_SETSID)}
	for _, limit := range b.limits {
		steps = append(steps, step("rlimit", unix.SYS_PRLIMIT64, wire.Number(0), wire.Number(uint64(limit.Resource)),
			wire.Data(memory(unix.Rlimit{Cur: limit.Most, Max: limit.Most})), wire.Number(0)))
	}
	if !b.driver.numbers.alone {
		steps = append(steps,
			step("groups", unix.SYS_SETGROUPS, wire.Number(0), wire.Number(0)),
			step("group", unix.SYS_SETGID, wire.Number(insideGID)),
			step("user", unix.SYS_SETUID, wire.Number(insideUID)))
	}
	// The user comes first, unlike for a program: a copy is not root inside, so it would keep its capabilities.
	steps = append(steps, b.driver.confinement(0, ruleset)...)
	// To change these takes it from the process itself as well.
	return append(steps, step("its own files", unix.SYS_PRCTL, wire.Number(unix.PR_SET_DUMPABLE), wire.Number(1)))
}
