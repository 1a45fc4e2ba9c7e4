//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
	"hotaru/sandbox/namespace/wire"
)

const (
	defaultPIDs      = 1024
	defaultOpenFiles = 1024
	// stage1Threads is what the pids limit has on top, for stage-1's own threads.
	stage1Threads = 8
	// removeTimeout bounds how long Destroy and a failed Create try to remove control groups.
	removeTimeout = 10 * time.Second
)

// Create makes a sandbox.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	number, err := d.reserve(spec.ID)
	if err != nil {
		return nil, err
	}
	defer d.making.Done()
	b := &box{
		driver:    d,
		id:        spec.ID,
		number:    number,
		op:        make(chan struct{}, 1),
		dying:     make(chan struct{}),
		destroyed: make(chan struct{}),
		gone:      make(chan struct{}),
		listeners: map[string]net.Listener{},
		processes: map[uint64]*process{},
	}
	if err := b.make(ctx, &spec); err != nil {
		b.ended = true // nobody has it yet: no lock
		close(b.dying)
		return nil, errors.Join(err, b.remove())
	}
	d.enter(b)
	return b, nil
}

// make acquires what remove gives back, in this order.
func (b *box) make(ctx context.Context, spec *sandbox.Spec) error {
	d := b.driver
	tmp, err := d.state.makeTmp(b.id, d.numbers.userID(b.number), d.numbers.userID(b.number))
	if err != nil {
		return err
	}
	if b.group, err = d.cgroups.Create(b.id, groupLimits(spec.Limits)); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if b.oom, err = b.group.WatchOOM(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := b.clone(); err != nil {
		return err
	}
	if err := b.group.Join(b.pid); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return b.setup(ctx, spec, tmp)
}

func groupLimits(l sandbox.Limits) cgroup.Limits {
	if l.PIDs == 0 {
		l.PIDs = defaultPIDs
	}
	return cgroup.Limits{MemoryBytes: l.MemoryBytes, MilliCPU: l.MilliCPU, PIDs: l.PIDs + stage1Threads}
}

// clone starts stage-1 in new namespaces and what listens to it.
func (b *box) clone() error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	unified, err := b.group.OpenUnified()
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	if unified != nil {
		defer unified.Close()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer null.Close()
	b.driver.spawner.do(func() { b.pid, err = b.driver.fork(b.number, unified, null, theirs) })
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox: start stage-1 in new namespaces: %w", err), ours.Close())
	}
	b.control = &control{conn: ours, exit: b.exited, waiting: map[uint64]chan reply{}}
	b.routines.Go(b.listen)
	if b.oom != nil {
		b.routines.Go(b.watchMemory)
	}
	return nil
}

// fork runs on the spawner's thread.
func (d *Driver) fork(number int, unified, null, control *os.File) (int, error) {
	one := func(inside, outside int) syscall.SysProcIDMap {
		return syscall.SysProcIDMap{ContainerID: inside, HostID: outside, Size: 1}
	}
	initID, userID := d.numbers.initID(number), d.numbers.userID(number)
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC, // the cgroup namespace follows, once the groups are joined
		UidMappings:                []syscall.SysProcIDMap{one(0, initID), one(insideUID, userID)},
		GidMappings:                []syscall.SysProcIDMap{one(0, initID), one(insideGID, userID)},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
		Pdeathsig:                  syscall.SIGKILL,
		Setsid:                     true,
	}
	if unified != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, rawFD(unified)
	}
	standard := uintptr(rawFD(null))
	return syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(rawFD(d.stage1)), []string{"stage1"}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []uintptr{standard, standard, standard, uintptr(rawFD(control))},
		Sys:   attr,
	})
}

// setup has stage-1 make the inside.
func (b *box) setup(ctx context.Context, spec *sandbox.Spec, tmp string) error {
	mounts, err := b.driver.state.mountsFor(spec, tmp)
	if err != nil {
		return err
	}
	defer mounts.close()
	m := wire.Setup{
		Hostname:  spec.Hostname,
		Mounts:    mounts.targets[1:],
		OpenFiles: spec.Limits.OpenFiles,
		UID:       insideUID,
		GID:       insideGID,
		Filter:    b.driver.filter,
		Landlock:  b.driver.landlock,
	}
	if m.Hostname == "" {
		m.Hostname = spec.ID
	}
	if m.OpenFiles == 0 {
		m.OpenFiles = defaultOpenFiles
	}
	for _, address := range spec.Listen {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("sandbox: listen: %w", err)
		}
		m.Listen = append(m.Listen, wire.Address{IP: string(parsed.Addr().AsSlice()), Port: parsed.Port()})
	}
	id := b.control.newID()
	r, err := b.control.call(ctx, id, m.Encode(id), mounts.files)
	if err != nil {
		return fmt.Errorf("sandbox: set up: %w", err)
	}
	defer closeFiles(r.files)
	return b.takeListeners(spec.Listen, r.files)
}

// takeListeners makes listeners of what stage-1 sent, if it is what was asked for.
func (b *box) takeListeners(addresses []string, files []*os.File) error {
	if len(files) != len(addresses) {
		return errors.New("sandbox: stage-1 sent another number of listeners")
	}
	for i, file := range files {
		listener, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("sandbox: listener: %w", err)
		}
		b.listeners[addresses[i]] = listener
		if got := listener.Addr().String(); got != addresses[i] {
			return fmt.Errorf("sandbox: stage-1 listens on %s instead of %s", got, addresses[i])
		}
	}
	return nil
}
