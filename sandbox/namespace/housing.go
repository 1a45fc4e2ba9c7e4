//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
)

// Housing starts stage-1 in a place that this driver did not make: an OCI runtime's container. Users, control groups,
// /tmp, records, processes and their limits stay this driver's; namespaces, root and network are the housing's.
type Housing interface {
	// Name is what Driver.Name answers.
	Name() string
	// Lacks says which boundaries are not enforced there, with the reasons.
	Lacks() []sandbox.Capability
	// Overhead is what the housing itself uses of a sandbox's memory, in bytes, and of its processes and threads.
	Overhead() (memory, pids int64)
	// RunsLandlock says that Landlock is the host kernel's there.
	RunsLandlock() bool
	// House makes the network that a sandbox will have, and its sockets. The caller closes the house.
	House(spec *sandbox.Spec) (House, error)
	// Open makes what all houses share. name is this driver's alone on this machine.
	Open(name string) error
	// Close gives back what Open made; it is called after Open alone.
	Close() error
}

// House is one sandbox's place. Launch may be called again after what it launched has ended.
type House interface {
	// Listeners and PacketConns are the sockets of the spec, by address.
	Listeners() map[string]net.Listener
	PacketConns() map[string]net.PacketConn
	// Namespace is the network namespace, the house's own to close.
	Namespace() *os.File
	// Socket makes an unconnected stream socket in the sandbox's network.
	Socket(v6 bool) (*os.File, error)
	// Launch starts stage-1 and returns the host's number of a process that lives as long as it does.
	Launch(ctx context.Context, l Lodging) (pid int, err error)
	// Close closes the sockets and the network.
	Close() error
}

// Lodging is what a house is made of when stage-1 moves in.
type Lodging struct {
	ID, Hostname string
	// Dir is a directory of this sandbox alone, for the housing's own files.
	Dir string
	// Mounts are detached: the root at "/", then what goes over it, in this order. Only the one at /tmp can be written.
	Mounts []Mount
	// Stage1 is the detached mount of a file, the init program. Control is its standard input.
	Stage1, Control *os.File
	// InitID and UserID are the host's ids of stage-1, which is 0 inside, and of the user, UID and GID inside.
	InitID, UserID int
	UID, GID       int
	// CgroupPath names the control group as an OCI runtime wants it: from the mount point where it begins with a
	// slash, else from the group that this process is in.
	CgroupPath string
	// Group is the same, for a housing that makes its processes there itself.
	Group *cgroup.Group
}

// Mount is a detached mount and where it goes.
type Mount struct {
	Tree   *os.File
	Target string
}

// tenancy is a sandbox's house and what moves in.
type tenancy struct {
	House
	spec    sandbox.Spec // Binds grow until stage-1 has moved in
	broken  bool         // a launch has failed, and the runtime may have removed what was there before
	lodging Lodging
}

// rent makes the house that stage-1 moves into when the first process is started: until then code can be attached.
func (b *box) rent(spec *sandbox.Spec) error {
	d := b.driver
	if err := checkSources([]sandbox.Bind{{Source: spec.Root.Dir}}, spec.Root.Binds, spec.Binds); err != nil {
		return err
	}
	house, err := d.housing.House(spec)
	if err != nil {
		return err
	}
	b.house = &tenancy{House: house, spec: *spec, lodging: Lodging{
		ID: b.id, Hostname: hostname(spec), Dir: d.state.path("sandboxes", b.id, "house"),
		InitID: d.numbers.initID(b.number), UserID: d.numbers.userID(b.number), UID: insideUID, GID: insideGID,
		CgroupPath: d.cgroups.OCIPath(b.id), Group: b.group,
	}}
	b.house.spec.Binds = slices.Clone(spec.Binds)
	b.Sockets = sandbox.Sockets{Streams: house.Listeners(), Packets: house.PacketConns()}
	return nil
}

// checkSources refuses now what would be mounted later.
func checkSources(binds ...[]sandbox.Bind) error {
	for _, bind := range slices.Concat(binds...) {
		if _, err := os.Stat(bind.Source); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	return nil
}

// attachToHouse adds to what will be mounted. A running container cannot be shown anything.
func (b *box) attachToHouse(binds []sandbox.Bind) error {
	if b.started {
		return fmt.Errorf("sandbox: attach to a running container: %w", errors.ErrUnsupported)
	}
	if len(b.house.spec.Root.Binds)+len(b.house.spec.Binds)+len(binds) > sandbox.MaxBinds {
		return fmt.Errorf("sandbox: more than %d binds", sandbox.MaxBinds)
	}
	if err := checkSources(binds); err != nil {
		return err
	}
	b.house.spec.Binds = append(b.house.spec.Binds, binds...)
	return nil
}

// moveIn has stage-1 started in the house, if it is not there. It is to be called with the operation's token.
func (b *box) moveIn(ctx context.Context) error {
	switch {
	case b.house == nil || b.inside != nil:
		return nil
	case b.house.broken:
		return sandbox.ErrEnded
	}
	err := b.launchHoused(ctx)
	if err != nil {
		b.house.broken = true
		err = errors.Join(err, b.evict(context.WithoutCancel(ctx)))
	}
	return err
}

func (b *box) launchHoused(ctx context.Context) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	state := b.driver.state
	program := &mounts{}
	defer program.close()
	if err := program.add(state.path(stage1File), "", readOnly); err != nil {
		return errors.Join(err, ours.Close())
	}
	trees, err := b.driver.mountsFor(&b.house.spec, b.tmp, state.addHouseDevices)
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer trees.close()
	l := b.house.lodging
	l.Stage1, l.Control = program.files[0], theirs
	for i, target := range trees.targets {
		l.Mounts = append(l.Mounts, Mount{Tree: trees.files[i], Target: target})
	}
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		return errors.Join(fmt.Errorf("sandbox: %w", err), ours.Close())
	}
	pid, err := b.house.Launch(ctx, l)
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	pidfd, err := b.group.OpenMember(pid)
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox: the container's process: %w", err), ours.Close())
	}
	b.enter(pidfd, ours)
	m := b.driver.setupOf(&b.house.spec)
	m.Housed = true
	id := b.inside.control.newID()
	if _, err := b.ask(ctx, id, m.Encode(id), nil); err != nil {
		return fmt.Errorf("sandbox: set up: %w", err)
	}
	return nil
}

// evict ends everything inside, whoever it is, and leaves the house ready to be moved into again. It is to be called
// with the operation's token.
func (b *box) evict(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	err := b.group.Kill(ctx)
	if b.inside != nil {
		b.leave(b.inside)
	}
	if removeErr := os.RemoveAll(b.house.lodging.Dir); removeErr != nil {
		err = errors.Join(err, removeErr)
	}
	if err != nil {
		return fmt.Errorf("sandbox: end the container: %w", err)
	}
	return nil
}

// resetHouse kills every process but stage-1, or, where that is gone, makes room for another.
func (b *box) resetHouse(ctx context.Context) error {
	switch {
	case b.house.broken:
		return sandbox.ErrEnded
	case b.inside == nil:
		return nil
	}
	err := b.killAll(ctx)
	if !errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	if err := b.evict(ctx); err != nil {
		return err
	}
	return b.forgetOOM()
}

// vacate ends what lives in the house and closes it.
func (t *tenancy) vacate(group *cgroup.Group) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	var err error
	if group != nil {
		err = group.Kill(ctx)
	}
	return errors.Join(err, t.Close())
}
