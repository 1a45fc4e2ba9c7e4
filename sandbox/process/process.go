// Package process is the sandbox driver without isolation: it starts programs as plain children of the daemon,
// on any operating system, for development where nothing better exists. Its Capabilities say so. It must not
// know functions or runtimes.
//
// Programs run in the host's own file system. Paths that lie under a bind's target are rewritten to the bind's
// source: in Command.Path, Command.Dir, whole arguments, and the elements of colon-separated environment
// values. A program that builds such a path by itself does not find it.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"hotaru/sandbox"
)

// Driver starts sandboxes that are nothing but process groups of the host.
type Driver struct {
	log *slog.Logger

	mu     sync.Mutex
	boxes  map[string]*box // by Spec.ID; nil once closed
	closed bool
}

var _ sandbox.Driver = (*Driver)(nil)

// New returns the driver and logs, as a warning, that nothing is isolated.
func New(log *slog.Logger) *Driver {
	log.Warn("the process driver isolates nothing: functions run as this user, with this user's files and network")
	return &Driver{log: log, boxes: map[string]*box{}}
}

// Name is "process".
func (d *Driver) Name() string { return "process" }

// Capabilities lists every boundary as not enforced.
func (d *Driver) Capabilities() []sandbox.Capability {
	capabilities := make([]sandbox.Capability, 0, len(sandbox.Boundaries))
	for _, boundary := range sandbox.Boundaries {
		capability := sandbox.Capability{
			Boundary: boundary,
			Reason:   "the process driver runs functions as plain processes of this user: NOTHING IS ISOLATED",
			Mend:     "run on Linux with --sandbox=namespace; use this driver for development only",
		}
		switch boundary {
		case sandbox.BoundaryEgress:
			capability = sandbox.Capability{Boundary: boundary, Enforced: true}
		case sandbox.AbilityAttach:
			capability.Reason = "a running process of the host cannot be shown files: functions start without zygotes"
		}
		capabilities = append(capabilities, capability)
	}
	return capabilities
}

var errNoImages = fmt.Errorf("sandbox: the process driver mounts no images: %w", errors.ErrUnsupported)

// Create makes a sandbox: its sockets on free ports of the host's loopback, and nothing else.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if spec.UsesImages() {
		return nil, errNoImages
	}
	b := &box{
		driver:    d,
		id:        spec.ID,
		paths:     newPaths(spec.Root, spec.Binds),
		Sockets:   sandbox.NewSockets(),
		processes: map[*process]struct{}{},
		destroyed: make(chan struct{}),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.New("sandbox: the driver is closed")
	}
	if _, taken := d.boxes[spec.ID]; taken {
		return nil, fmt.Errorf("sandbox: %q exists already", spec.ID)
	}
	if err := b.listen(&spec); err != nil {
		b.CloseSockets()
		return nil, err
	}
	d.boxes[spec.ID] = b
	return b, nil
}

// Sweep has nothing to do: what a dead daemon left behind cannot be told from other processes of this user.
func (d *Driver) Sweep(context.Context) error { return nil }

// Close destroys every sandbox.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	boxes := make([]*box, 0, len(d.boxes))
	for _, b := range d.boxes {
		boxes = append(boxes, b)
	}
	d.mu.Unlock()
	var failures []error
	for _, b := range boxes {
		failures = append(failures, b.Destroy(context.Background()))
	}
	return errors.Join(failures...)
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, id)
}

// orNull stands in for a standard stream that the caller left out.
func orNull(file *os.File, null *os.File) *os.File {
	if file == nil {
		return null
	}
	return file
}

// absoluteDir is the directory a program starts in: the root where the command names none.
func absoluteDir(dir string) string {
	if dir == "" {
		return string(filepath.Separator)
	}
	return dir
}
