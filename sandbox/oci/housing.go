//go:build linux && (amd64 || arm64)

package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/namespace/furnish"
)

// launchTimeout bounds how long the runtime may take to start a container.
const launchTimeout = 30 * time.Second

// What gVisor uses of a sandbox's own: its kernel and the process that opens files for it, in bytes, and their threads
// with those that stand for the threads inside.
const (
	gvisorMemory = 64 << 20
	gvisorPIDs   = 8 << 10
)

// runcPIDs are threads that runc has inside for a moment, before stage-1 takes its place, beyond as many as that has.
const runcPIDs = 8

// housing starts stage-1 in a container of an OCI runtime.
type housing struct {
	runtime ociRuntime
	places  places
}

// places are where a container's root and its init program are mounted for the runtime, in a mount namespace of their
// own each time. The way to them is open to the user that a container's root is on the host; the way to the state
// directory is not.
type places struct{ dir, root, stage1 string }

// Name is "oci".
func (h *housing) Name() string { return "oci" }

// Open makes the mount points.
func (h *housing) Open(name string) error {
	dir := filepath.Join("/run", name)
	h.places = places{dir: dir, root: filepath.Join(dir, "root"), stage1: filepath.Join(dir, "init")}
	for _, err := range []error{
		os.MkdirAll(h.places.root, 0o711), os.Chmod(dir, 0o711), os.WriteFile(h.places.stage1, nil, 0o600),
	} {
		if err != nil {
			return errors.Join(fmt.Errorf("sandbox: %w", err), h.Close())
		}
	}
	return nil
}

// Close removes the mount points.
func (h *housing) Close() error {
	for _, path := range []string{h.places.stage1, h.places.root, h.places.dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	return nil
}

// Overhead is what the runtime leaves running beside user code.
func (h *housing) Overhead() (memory, pids int64) {
	if h.runtime.gvisor {
		return gvisorMemory, gvisorPIDs
	}
	return 0, runcPIDs
}

// RunsLandlock is false for gVisor, whose kernel has none.
func (h *housing) RunsLandlock() bool { return !h.runtime.gvisor }

// Lacks says what a container does not have.
func (h *housing) Lacks() []sandbox.Capability {
	lacks := []sandbox.Capability{{
		Boundary: sandbox.AbilityAttach,
		Reason:   "an OCI runtime mounts nothing into a running container: functions start without zygotes",
		Mend:     "use the namespace driver where a cold start must be short",
	}}
	if h.runtime.gvisor {
		lacks = append(lacks, sandbox.Capability{
			Boundary: sandbox.BoundaryLandlock,
			Reason:   "gVisor's kernel has no Landlock; its files are opened by a process of its own",
		}, sandbox.Capability{
			Boundary: sandbox.LimitDiskBandwidth,
			Reason: "the limit is on gVisor's own processes, which read from memory what they have read before, whatever " +
				"a program asks for: that it holds has been shown for writing alone",
		}, sandbox.Capability{
			Boundary: sandbox.LimitPIDs,
			Reason:   "gVisor does not count processes: the limit is on the host's threads that it uses, and beyond it the sandbox ends",
		})
	}
	return lacks
}

// House makes a network and its sockets.
func (h *housing) House(spec *sandbox.Spec) (namespace.House, error) {
	n, err := newNetwork(spec)
	if err != nil {
		return nil, err
	}
	return &house{housing: h, network: n}, nil
}

// house is one sandbox's container.
type house struct {
	*housing
	network *network
}

func (h *house) Listeners() map[string]net.Listener { return h.network.listeners }

func (h *house) PacketConns() map[string]net.PacketConn { return h.network.packets }

func (h *house) Namespace() *os.File { return h.network.namespace }

func (h *house) Socket(v6 bool) (*os.File, error) { return h.network.socket(v6) }

func (h *house) Close() error { return h.network.close() }

// Launch has the runtime run a container.
func (h *house) Launch(ctx context.Context, l namespace.Lodging) (int, error) {
	b := describe(&l, h.places, h.network.path(), h.runtime.gvisor)
	if err := b.write(l.Dir); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	args := h.runtime.arguments(filepath.Base(h.places.dir)+"-"+l.ID, l.Dir)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "/"
	// Output and errors are /dev/null: they become stage-1's, and user code in gVisor could write to them. What the
	// runtime has to say is in its log.
	cmd.Stdin = l.Control
	if err := onThread(func() error { return h.start(cmd, &l) }); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("sandbox: %s: %w: %s", h.runtime.path, err, lastWords(filepath.Join(l.Dir, logFile)))
	}
	content, err := os.ReadFile(filepath.Join(l.Dir, pidFile))
	if err != nil {
		return 0, fmt.Errorf("sandbox: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("sandbox: the container's process: %w", err)
	}
	return pid, nil
}

// start starts the runtime on a thread that sees the container's root in its place, and is in its control groups
// where the runtime does not do that.
func (h *house) start(cmd *exec.Cmd, l *namespace.Lodging) error {
	if err := newMounts(); err != nil {
		return err
	}
	if err := h.furnish(l); err != nil {
		return err
	}
	if !h.runtime.gvisor {
		return cmd.Start()
	}
	return l.Group.StartIn(cmd)
}

// furnish mounts stage-1, the root and what goes over it.
func (h *house) furnish(l *namespace.Lodging) error {
	move := func(tree *os.File, to string) error {
		return unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err := move(l.Stage1, h.places.stage1); err != nil {
		return fmt.Errorf("sandbox: mount the init program: %w", err)
	}
	if err := move(l.Mounts[0].Tree, h.places.root); err != nil {
		return fmt.Errorf("sandbox: mount the root: %w", err)
	}
	at, err := unix.Open(h.places.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer unix.Close(at)
	for _, m := range l.Mounts[1:] {
		if err := furnish.MoveTo(at, m.Target, int(m.Tree.Fd())); err != nil {
			return fmt.Errorf("sandbox: mount %s: %w", m.Target, err)
		}
	}
	return nil
}

// lastWords is the end of the runtime's log.
func lastWords(path string) string {
	const most = 2 << 10
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(content[max(0, len(content)-most):]))
}
