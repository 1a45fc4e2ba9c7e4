//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

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
	if err := d.checkEgress(&spec); err != nil {
		return nil, err
	}
	if spec.UsesImages() && !d.MountsImages() {
		return nil, errNoImages
	}
	if err := d.reserve(spec.ID); err != nil {
		return nil, err
	}
	defer d.making.Done()
	d.hulls.begin()
	defer d.hulls.end()
	b, err := d.fromHull(ctx, &spec)
	if err != nil {
		d.forget(spec.ID)
		return nil, err
	}
	if b == nil {
		if b, err = d.fromNothing(ctx, &spec); err != nil {
			return nil, err
		}
	}
	d.enter(b)
	return b, nil
}

// fromNothing makes all of a sandbox.
func (d *Driver) fromNothing(ctx context.Context, spec *sandbox.Spec) (*box, error) {
	number, err := d.takeNumber()
	if err != nil && d.hulls.shed() { // that one had a number
		number, err = d.takeNumber()
	}
	if err != nil {
		d.forget(spec.ID)
		return nil, err
	}
	b := d.newBox(spec.ID, number)
	b.become(spec)
	if err := b.make(ctx, spec); err != nil {
		return nil, errors.Join(err, b.unmake())
	}
	return b, nil
}

// newBox is one of which nothing has been made.
func (d *Driver) newBox(name string, number int) *box {
	return &box{
		driver:    d,
		name:      name,
		number:    number,
		op:        make(chan struct{}, 1),
		dying:     make(chan struct{}),
		destroyed: make(chan struct{}),
		Sockets:   sandbox.NewSockets(),
		processes: map[uint64]*process{},
	}
}

// become takes over from the spec what is asked for later.
func (b *box) become(spec *sandbox.Spec) {
	b.root, b.limits = spec.Root, limitsOf(spec)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id = spec.ID
}

// unmake removes a box that nobody has yet.
func (b *box) unmake() error {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	close(b.dying)
	return b.remove()
}

// makeDirectory makes the sandbox's directory if it keeps something there.
func (b *box) makeDirectory(spec *sandbox.Spec) error {
	d := b.driver
	if d.housing == nil && d.hasTmpImage(spec) {
		return nil
	}
	return d.step(PointDirectory, func() error { return d.state.makeSandbox(b.id) })
}

// make acquires what remove gives back, as far as it gets.
func (b *box) make(ctx context.Context, spec *sandbox.Spec) error {
	d := b.driver
	if err := b.makeDirectory(spec); err != nil {
		return err
	}
	// One waits for the disk, the other for the kernel's locks: both at once take half as long.
	made := make(chan error, 1)
	go func() { made <- d.step(PointTmp, func() error { return b.makeTmp(ctx, spec) }) }()
	err := b.populate(ctx, d.groupLimits(spec.Limits))
	if err == nil && d.housing != nil {
		err = b.rent(spec)
	}
	if err := errors.Join(err, <-made); err != nil {
		return err
	}
	if err := d.step(PointDisk, func() error { return b.limitDisk(spec) }); err != nil {
		return err
	}
	joined := b.joinNetwork(d.hullKind(spec))
	if b.house == nil { // else stage-1 moves in later
		err = d.step(PointSetup, func() error { return b.setup(ctx, spec) })
	}
	if err := errors.Join(err, joined()); err != nil {
		return err
	}
	return d.at(PointMade)
}

// populate makes the control groups, with stage-1 in them unless it moves in later.
func (b *box) populate(ctx context.Context, limits cgroup.Limits) error {
	d := b.driver
	err := d.at(PointGroup)
	if err != nil {
		return err
	}
	if b.group, err = d.cgroups.Create(b.name, limits); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if b.oom, err = b.group.WatchOOM(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if b.oom != nil {
		b.routines.Go(b.watchMemory)
	}
	if d.housing != nil {
		return nil
	}
	return d.step(PointClone, func() error { return b.clone(ctx) })
}

func (d *Driver) groupLimits(l sandbox.Limits) cgroup.Limits {
	if l.PIDs == 0 {
		l.PIDs = defaultPIDs
	}
	limits := cgroup.Limits{MemoryBytes: l.MemoryBytes, MilliCPU: l.MilliCPU, PIDs: l.PIDs + stage1Threads}
	if d.housing != nil {
		memory, pids := d.housing.Overhead()
		limits.PIDs += pids
		if limits.MemoryBytes > 0 {
			limits.MemoryBytes += memory
		}
	}
	return limits
}

// clone starts stage-1 in new namespaces and what listens to it.
func (b *box) clone(ctx context.Context) error {
	d := b.driver
	pidfd, conn, err := d.launch(ctx, b.group, wire.Launch{
		InitID: uint32(d.numbers.initID(b.number)), UserID: uint32(d.numbers.userID(b.number)), UID: insideUID, GID: insideGID,
	})
	if err != nil {
		return err
	}
	b.enter(pidfd, conn)
	return nil
}

// launch starts a stage-1 in a control group. The caller closes both.
func (d *Driver) launch(ctx context.Context, group *cgroup.Group, request wire.Launch) (*os.File, *net.UnixConn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	unified, err := group.OpenUnified()
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	if unified != nil {
		defer unified.Close()
	}
	enter, err := group.OpenTasks()
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	defer closeFiles(enter)
	files := []*os.File{theirs}
	if unified != nil {
		files = append(files, unified)
	}
	files = append(append(files, enter...), d.cgroups.Tasks()...)
	request.HasCgroup, request.Groups = unified != nil, uint32(len(enter))
	// Once asked for, it is coming: to leave before it is here would leave it behind.
	pidfd, err := d.spawner.launch(context.WithoutCancel(ctx), request, files)
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return pidfd, ours, nil
}

// setup has stage-1 make the inside.
func (b *box) setup(ctx context.Context, spec *sandbox.Spec) error {
	mounts, err := b.driver.mountsFor(spec, b.tmp, b.driver.state.addDevices)
	if err != nil {
		return err
	}
	defer mounts.close()
	b.keep(mounts)
	m := b.driver.setupOf(spec)
	m.Hostname, m.Mounts = hostname(spec), mounts.targets[1:]
	if m.Listen, err = sockets(spec); err != nil {
		return err
	}
	id := b.inside.control.newID()
	r, err := b.inside.control.call(ctx, id, m.Encode(id), mounts.files)
	if err != nil {
		return fmt.Errorf("sandbox: set up: %w", err)
	}
	defer closeFiles(r.files)
	return b.takeSockets(spec, r.files)
}

// setupOf is what stage-1 is told wherever it lives.
func (d *Driver) setupOf(spec *sandbox.Spec) wire.Setup {
	return wire.Setup{
		Limits: limitsOf(spec), UID: insideUID, GID: insideGID, Confine: d.started, Landlock: d.landlock,
	}
}

func hostname(spec *sandbox.Spec) string {
	if spec.Hostname == "" {
		return spec.ID
	}
	return spec.Hostname
}

// sockets are what stage-1 is to listen on: streams first, then packets.
func sockets(spec *sandbox.Spec) ([]wire.Address, error) {
	var all []wire.Address
	for i, address := range slices.Concat(spec.Listen, spec.ListenPacket) {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("sandbox: listen: %w", err)
		}
		all = append(all, wire.Address{
			IP: string(parsed.Addr().AsSlice()), Port: parsed.Port(), Packet: i >= len(spec.Listen),
		})
	}
	return all, nil
}

// takeSockets takes what stage-1 sent, if it is what was asked for.
func (b *box) takeSockets(spec *sandbox.Spec, files []*os.File) error {
	if len(files) != len(spec.Listen)+len(spec.ListenPacket) {
		return errors.New("sandbox: stage-1 sent another number of sockets")
	}
	wrong := func(got net.Addr, want string) error {
		if got.String() != want {
			return fmt.Errorf("sandbox: stage-1 listens on %s instead of %s", got, want)
		}
		return nil
	}
	for i, address := range spec.Listen {
		listener, err := net.FileListener(files[i])
		if err != nil {
			return fmt.Errorf("sandbox: listener: %w", err)
		}
		b.Streams[address] = listener
		if err := wrong(listener.Addr(), address); err != nil {
			return err
		}
	}
	for i, address := range spec.ListenPacket {
		conn, err := net.FilePacketConn(files[len(spec.Listen)+i])
		if err != nil {
			return fmt.Errorf("sandbox: packet socket: %w", err)
		}
		b.Packets[address] = conn
		if err := wrong(conn.LocalAddr(), address); err != nil {
			return err
		}
	}
	return nil
}
