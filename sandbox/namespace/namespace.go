//go:build linux && (amd64 || arm64)

// Package namespace is the sandbox driver for Linux: namespaces, control groups, a system call filter and
// Landlock around every sandbox, with a tiny init of our own (stage-1) inside. It needs Linux 5.12 and root, of
// the host or of a user namespace (package userns). It must not know functions, runtimes or AWS.
//
// Who does what:
//
//	driver   (this process)   control groups, detached read-only mounts, records, sweeping
//	launcher (a small child)  clones every stage-1; the same program in another role
//	template (an interpreter) makes copies of itself that enter sandboxes; knows nobody's code
//	stage-1  (process 1)      mounts and listeners inside, starting, reaping, killing; never runs user code
//	user code                 an unprivileged user that exists nowhere else, behind filter and Landlock
package namespace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
	"hotaru/sandbox/namespace/erofs"
	"hotaru/sandbox/namespace/image"
	"hotaru/sandbox/namespace/seccomp"
	"hotaru/sandbox/namespace/userns"
	"hotaru/sandbox/namespace/wire"
)

// Config is what the driver needs to know.
type Config struct {
	// StateDir is an absolute directory that belongs to this driver alone: /tmp of every sandbox and records
	// for Sweep. It is made with mode 0700 where it is missing, and locked.
	StateDir string
	// Stage1 is the init program; nil means the one embedded in this binary.
	Stage1 []byte
	// DiskReserve is how many bytes of the state directory's disk the sandboxes' /tmp leave free for others: 0 means
	// image.DefaultReserve.
	DiskReserve int64
	// MemoryBytes is what all sandboxes may use together; 0 means all that there is. It is a wall, not a budget: beyond it
	// the kernel kills.
	MemoryBytes int64
	// Mkfs is the path of mkfs.ext4; empty means where distributions have it.
	Mkfs string
	// CgroupV1 leaves version 2 control groups alone on a host that has both versions.
	CgroupV1 bool
	// Housing is where stage-1 lives; nil means in namespaces that this driver makes. The driver opens and closes it.
	Housing Housing
	// Network is the sandboxes' way out, the caller's to close after the driver; nil is none, for the reason that
	// NoNetwork gives.
	Network   sandbox.Network
	NoNetwork string
	// Hulls is how many sandboxes are prepared at most, as far as that can be done before it is known what they are for
	// (hull.go): 0 is none. With a Housing there are none.
	Hulls int
	// MemoryShort, if set, says that the machine has no memory to spare: then there are no hulls.
	MemoryShort func() bool
	// ForcedHull, if a test sets it, has every sandbox made from a hull that was made for one with these limits.
	ForcedHull *sandbox.Limits
	// Fault, if a test sets it, is called before each step of a sandbox's life, from several goroutines. Its error is
	// that step's.
	Fault func(Point) error
	Log   *slog.Logger
}

// Error is an error of this driver that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of New.
const (
	// ErrNotRoot says that the driver was not started as root.
	ErrNotRoot Error = "sandbox: the namespace driver needs root, if only of a user namespace"
	// ErrNoStage1 says that the binary was built without its init program.
	ErrNoStage1 Error = "sandbox: this binary has no stage-1 for this architecture: run make build"
	// ErrInUse says that another driver has the state directory.
	ErrInUse Error = "sandbox: the state directory is in use"
)

// Driver makes sandboxes from namespaces.
type Driver struct {
	log      *slog.Logger
	state    *state
	cgroups  *cgroup.Parent
	stage1   *os.File // sealed memfd
	filter   []byte
	confined sync.Map // of confined to []wire.Step
	started  string   // what a program is confined by, as Setup says it
	landlock bool
	v1Only   bool
	rootless bool // root of a user namespace only
	// memory is Config.MemoryBytes; bounded says that it is enforced, after Sweep at the latest.
	memory     int64
	bounded    bool
	housing    Housing // nil: none but ours
	housed     bool    // the housing is to be closed
	spawner    *spawner
	images     *image.Maker // nil where /tmp can only be a directory
	noImages   error        // why it is nil
	disks      disks
	hulls      *hulls            // nil is none
	hulled     atomic.Uint64     // how many there have been
	forcedHull *sandbox.Limits   // of tests
	network    sandbox.Network   // nil is none
	fault      func(Point) error // of tests
	erofs      *erofs.Mounter    // nil where images cannot be mounted

	capabilities []sandbox.Capability

	mu      sync.Mutex
	boxes   map[string]*box // by Spec.ID; nil while being made
	numbers numbers
	// templates are those that live, templated how many there have been.
	templates map[*template]bool
	templated int
	closed    bool
	making    sync.WaitGroup // Creates under way; added to under mu while not closed
	// removals has a token for each removal under way: each keeps a thread waiting for the kernel, which Go never gives back.
	removals chan struct{}
}

// maxRemovals is how many sandboxes are removed at once.
const maxRemovals = 64

var _ sandbox.Driver = (*Driver)(nil)

// New probes the host, locks the state directory and makes the driver. Close it.
func New(config Config) (*Driver, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	program := config.Stage1
	if program == nil {
		var err error
		if program, err = embedded(); err != nil {
			return nil, err
		}
	}
	filter, err := seccomp.Program()
	if err != nil {
		return nil, err
	}
	d := &Driver{
		log: config.Log, filter: seccomp.Bytes(filter), landlock: hasLandlock(), v1Only: config.CgroupV1,
		network: config.Network, fault: config.Fault, memory: config.MemoryBytes,
		housing: config.Housing, boxes: map[string]*box{}, templates: map[*template]bool{},
		removals: make(chan struct{}, maxRemovals),
	}
	if d.housing != nil {
		d.landlock = d.landlock && d.housing.RunsLandlock()
	}
	if d.state, err = openState(config.StateDir); err != nil {
		return nil, err
	}
	if err := d.open(program, config); err != nil {
		return nil, errors.Join(err, d.release())
	}
	d.started = wire.EncodeSteps(d.confinement(d.toBecome(), 0))
	d.capabilities = d.probe(config.NoNetwork)
	if d.housing == nil {
		d.forcedHull = config.ForcedHull
		// An ordinary user may have few ids: most are for sandboxes.
		if most := min(config.Hulls, d.numbers.most/4); most > 0 {
			d.hulls = startHulls(&hulls{most: most, short: config.MemoryShort, log: d.log, make: d.makeHull, remove: (*box).discard})
		}
	}
	return d, nil
}

// open acquires what release gives back.
func (d *Driver) open(program []byte, config Config) error {
	ids, err := userns.Own()
	if err != nil {
		return err
	}
	d.rootless, d.numbers = ids.Rootless, newNumbers(d.state.name, ids)
	if err := d.openCgroups(); err != nil {
		return err
	}
	err = d.boundMemory()
	if d.bounded = d.bounded || errors.Is(err, unix.EBUSY); err != nil && !d.bounded {
		return err
	}
	d.images, d.noImages = image.Open(context.Background(), image.Config{
		Dir: d.state.images(), Mkfs: config.Mkfs, Reserve: config.DiskReserve, Log: d.log,
		Attached: d.liftLate,
	})
	if d.housing != nil {
		if err := d.state.writeHouse(program); err != nil {
			return err
		}
		d.housed = true
		return d.housing.Open(d.state.name)
	}
	if d.stage1, err = seal(program); err != nil {
		return err
	}
	if d.erofs, err = erofs.Open(d.state.dir); err != nil {
		d.log.Info("no EROFS images on this host: what they would show has to be directories", "reason", err)
		d.erofs = nil
	} else {
		d.log.Info("EROFS images can be mounted", "from", d.erofs.Way())
	}
	d.spawner = startSpawner(d.stage1, d.log)
	return nil
}

// openCgroups makes our parent groups. They are recorded first: whatever happens next, Sweep finds them. Those of
// a dead daemon stay on record until they are swept.
func (d *Driver) openCgroups() error {
	var layout cgroup.Layout
	var others []string
	var err error
	if d.housing != nil {
		layout, others, err = cgroup.DetectOCI(d.state.name)
	} else {
		layout, err = cgroup.Detect(d.state.name, d.v1Only, d.rootless)
	}
	if err != nil {
		return err
	}
	if err := d.state.recordCgroups(slices.Concat(layout.Dirs(), others)); err != nil {
		return err
	}
	if d.cgroups != nil { // a sweep took its directories along
		if err := d.cgroups.Release(); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	if d.cgroups, err = cgroup.Open(layout, others...); err != nil {
		return err
	}
	return nil
}

// boundMemory builds the wall around all sandboxes. The kernel refuses it (EBUSY) where those that a dead daemon left use
// more: Sweep removes them and builds it then.
func (d *Driver) boundMemory() (err error) {
	d.bounded, err = d.cgroups.BoundMemory(d.memory)
	return err
}

// MemoryLeft implements sandbox.MemoryBounder.
func (d *Driver) MemoryLeft() (bytes int64, ok bool) {
	bytes, ok, err := d.cgroups.MemoryLeft()
	if err != nil {
		d.log.Warn("reading what all sandboxes use", "error", err)
	}
	return bytes, ok && err == nil
}

func (d *Driver) release() error {
	var failures []error
	if d.spawner != nil {
		d.spawner.stop()
	}
	if d.erofs != nil {
		failures = append(failures, d.erofs.Close())
	}
	if d.images != nil {
		failures = append(failures, d.images.Close())
	}
	if d.housed {
		failures = append(failures, d.housing.Close())
	}
	if d.stage1 != nil {
		failures = append(failures, d.stage1.Close())
	}
	if d.cgroups != nil {
		failures = append(failures, d.cgroups.Close())
	}
	return errors.Join(append(failures, d.state.close())...)
}

// Name is "namespace", or the housing's.
func (d *Driver) Name() string {
	if d.housing != nil {
		return d.housing.Name()
	}
	return "namespace"
}

// Capabilities lists what this host lets the driver enforce, as probed by New.
func (d *Driver) Capabilities() []sandbox.Capability {
	return append([]sandbox.Capability(nil), d.capabilities...)
}

// Sweep removes what a dead daemon left under this state directory.
func (d *Driver) Sweep(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.boxes) > 0 || d.hulls.any() {
		return errors.New("sandbox: sweep before the first sandbox is made, not after")
	}
	if err := d.state.sweep(ctx, d.cgroups.LiftLate); err != nil {
		return err
	}
	if err := d.openCgroups(); err != nil { // the sweep took our own parent directories along
		return err
	}
	return d.boundMemory()
}

// Close destroys every sandbox, those that are being made included, and gives the state directory back.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	d.making.Wait()
	boxes := d.hulls.close()
	d.mu.Lock()
	for _, b := range d.boxes {
		if b != nil { // nil: one that could be neither made nor removed; the next daemon sweeps it
			boxes = append(boxes, b)
		}
	}
	templates := slices.Collect(maps.Keys(d.templates))
	d.mu.Unlock()
	failures := []error{destroyAll(boxes)}
	for _, t := range templates {
		failures = append(failures, t.Close())
	}
	return errors.Join(append(failures, d.release())...)
}

// destroyAll destroys several at a time: most of it is waiting for the kernel.
func destroyAll(boxes []*box) error {
	failures := make([]error, len(boxes))
	var routines sync.WaitGroup
	next := make(chan int)
	for range min(len(boxes), 16) {
		routines.Go(func() {
			for i := range next {
				failures[i] = boxes[i].Destroy(context.Background())
			}
		})
	}
	for i := range boxes {
		next <- i
	}
	close(next)
	routines.Wait()
	return errors.Join(failures...)
}

// reserve takes an ID for a sandbox that is then made: call making.Done when it is, or is not.
func (d *Driver) reserve(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("sandbox: the driver is closed")
	}
	if _, taken := d.boxes[id]; taken {
		return fmt.Errorf("sandbox: %q exists already", id)
	}
	d.boxes[id] = nil
	d.making.Add(1)
	return nil
}

// takeNumber takes a number for a sandbox or a hull.
func (d *Driver) takeNumber() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.numbers.take()
}

func (d *Driver) giveNumber(number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.numbers.give(number)
}

func (d *Driver) enter(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes[b.id] = b
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, id)
}
