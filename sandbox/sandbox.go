// Package sandbox is the contract of isolation: what a driver does so that code nobody trusts runs beside
// code that somebody relies on. It knows processes, mounts and limits. It must not know functions, runtimes,
// invocations or AWS.
//
// A sandbox lives like this:
//
//	sb, err := driver.Create(ctx, sandbox.Spec{ID: "env-1", Root: root, Binds: code, Limits: limits,
//		Listen: []string{"127.0.0.1:9001"}})
//	api := sb.Listener("127.0.0.1:9001")          // accepts only what runs inside this sandbox
//	p, err := sb.Start(ctx, sandbox.Command{Path: "/var/lang/bin/python3", Args: ..., Env: ...})
//	err = sb.SetLimits(ctx, steady)               // Init ran at full speed, now the CPU quota applies
//	err = sb.Freeze(ctx); err = sb.Thaw(ctx)      // between events
//	err = sb.Destroy(ctx)                         // nothing is left: no process, mount, cgroup, file
//
// Every driver passes package sandboxtest.
package sandbox

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"
)

// Driver makes sandboxes of one kind. It is safe for concurrent use.
type Driver interface {
	// Name is the driver's name as --sandbox takes it: "namespace", "oci" or "process".
	Name() string

	// Capabilities lists every boundary and limit this package names, each enforced or not enforced on this
	// host, with the reason and the mend where it is not. None is silently absent.
	Capabilities() []Capability

	// Create makes a sandbox with nothing running in it but the driver's own init. On an error nothing is left.
	Create(ctx context.Context, spec Spec) (Sandbox, error)

	// Sweep removes what a daemon that died with this driver's state directory left behind: processes,
	// mounts, cgroups and files, and touches nothing else. Call it once, before the first Create.
	Sweep(ctx context.Context) error

	// Close destroys every sandbox that is still there.
	Close() error
}

// Sandbox is one isolated place. Its methods are safe for concurrent use; after Destroy each answers
// ErrDestroyed.
type Sandbox interface {
	// ID is Spec.ID.
	ID() string

	// Listener returns the listener asked for with the same address in Spec.Listen. It accepts connections
	// from inside this sandbox only, so it identifies the sandbox. Its Addr is the one that is valid inside.
	// The caller serves it; Destroy closes it.
	Listener(address string) net.Listener

	// PacketConn returns the socket asked for with the same address in Spec.ListenPacket. It hears datagrams from
	// inside this sandbox only. Its LocalAddr is the one that is valid inside. The caller serves it; Destroy
	// closes it.
	PacketConn(address string) net.PacketConn

	// Dial connects to a server of the code inside: network is "tcp", address a loopback address and port, as seen
	// inside. Whoever listens there is nobody to trust. A refused connection is a syscall.ECONNREFUSED. A frozen
	// sandbox answers ErrFrozen; a connection that is there already stays, silent until Thaw. The caller closes it;
	// Destroy does not. A driver without a network of its own dials the host's loopback.
	Dial(ctx context.Context, network, address string) (net.Conn, error)

	// Attach adds read-only binds to a sandbox that has not run user code yet (a zygote's code and layers).
	// After the first Attach that follows Start every other answers ErrSealed. A driver without AbilityAttach
	// answers errors.ErrUnsupported after Start. A frozen sandbox answers ErrFrozen.
	Attach(ctx context.Context, binds []Bind) error

	// Start starts one process inside. The files in the command stay the caller's to close; it may close
	// them as soon as Start returns. ErrNotFound, ErrFrozen and ErrEnded say why it cannot.
	Start(ctx context.Context, cmd Command) (Process, error)

	// Reset kills every process inside (the driver's own init excepted) and waits for them. Root, binds,
	// listeners and /tmp stay, limits too: Start may be called again. It is what follows a timeout or a crash
	// (Lambda keeps /tmp then). A frozen sandbox is thawed first. ErrEnded says that the driver's own init is
	// gone as well: Destroy and Create.
	Reset(ctx context.Context) error

	// SetLimits replaces the memory, CPU and process limits; open files, the size of /tmp and the speed of disks
	// and of the network stay what Create made them. Lowering memory below what is in use is an error and changes nothing.
	SetLimits(ctx context.Context, limits Limits) error

	// Freeze stops every process inside from running until Thaw. Both are idempotent.
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error

	// Stats reads what the sandbox uses now.
	Stats(ctx context.Context) (Stats, error)

	// Destroy kills everything inside, waits for it and removes every trace. Idempotent; a frozen sandbox is
	// thawed first.
	Destroy(ctx context.Context) error
}

// Process is one process started in a sandbox.
type Process interface {
	// Signal sends a signal to the process alone, not to its children. It reaches a frozen sandbox's process
	// when that is thawed. Once the process has ended it answers os.ErrProcessDone.
	Signal(sig syscall.Signal) error
	// Done is closed when the process has been waited for.
	Done() <-chan struct{}
	// Status says how it ended; it is valid once Done is closed.
	Status() ExitStatus
}

// Spec says what a sandbox is made of.
type Spec struct {
	// ID is unique among the sandboxes of one state directory: [a-z0-9-]{1,64}.
	ID string
	// Root is the file system the sandbox sees.
	Root Root
	// Binds are mounted read-only over Root, in this order: code at /var/task, layers at /opt.
	Binds []Bind
	// Hostname inside; empty means ID.
	Hostname string
	// Limits from the start; see SetLimits.
	Limits Limits
	// Listen are the loopback addresses to listen on inside the sandbox, "127.0.0.1:9001". Any port will do: those
	// that take privilege (below 1,024) are taken before there is user code. A driver without a network of its own
	// listens on a free port of the host's loopback instead, which is why callers must ask Listener(address).Addr().
	Listen []string
	// ListenPacket are the same for UDP: "127.0.0.1:53".
	ListenPacket []string
	// Egress is how far the network reaches beyond those.
	Egress Egress
}

// Root is a read-only root file system: a directory with the skeleton (mount points, symlinks and our own
// /etc), and what of the host is bound over it. /proc, /dev and a writable /tmp are the driver's to make; Dir
// has empty directories for them, and for every Bind target.
type Root struct {
	Dir   string
	Binds []Bind
	// Image says that Dir is an EROFS image file with such a directory, for a driver that MountsImages.
	Image bool
}

// Bind shows the host's Source (a file or a directory, absolute) read-only at Target (absolute) inside. The
// user inside owns nothing of the host's, so what Source holds must be readable by others (o+rX); the
// directories above Source need not be.
type Bind struct {
	Source string
	Target string
	// Image says that Source is an EROFS image file, whose root directory is shown, for a driver that MountsImages.
	Image bool
}

// Limits bound what a sandbox may use. Zero means no limit, except where it says otherwise.
type Limits struct {
	// MemoryBytes is the most anonymous and kernel memory of all processes, without swap. Beyond it every
	// process of this sandbox is killed, none of another, and Process.Status().OOMKilled tells. After Reset
	// it can be used again.
	MemoryBytes int64
	// MilliCPU is CPU time per wall time in thousandths of one CPU.
	MilliCPU int64
	// PIDs is the most processes and threads at once; 0 means 1,024 (Lambda's quota).
	PIDs int64
	// OpenFiles is RLIMIT_NOFILE, soft and hard; 0 means 1,024 (Lambda's quota).
	OpenFiles uint64
	// TmpBytes is the size of /tmp: so much can be written, and at most some two percent more (ENOSPC). It is
	// never memory: a full /tmp leaves MemoryBytes as it was.
	TmpBytes int64
	// DiskBytesPerSecond is how much may be read from disks in a second, and how much written.
	DiskBytesPerSecond int64
	// NetBytesPerSecond is how much may be sent to the outside in a second, and how much received.
	NetBytesPerSecond int64
}

// Command is a program to start inside.
type Command struct {
	// Path and Dir are as seen inside; Args includes the program's own name at 0. Env is the whole
	// environment: nothing is inherited.
	Path string
	Args []string
	Env  []string
	Dir  string
	// Stdout and Stderr may be the same file; nil means /dev/null. Standard input is always /dev/null.
	Stdout, Stderr *os.File
	// Files become descriptors 3, 4, ... of the process.
	Files []*os.File
	// Template, if it is not nil, is copied instead of executing Path with Args and Env, which are its own. It is the same
	// driver's and has the same Root. The sandbox has had no process yet: else ErrSealed. Any other error leaves the
	// sandbox as it was, and the same command without a template is the way out.
	Template Template
}

// ExitStatus says how a process ended: by Signal if that is not 0, else with Code.
type ExitStatus struct {
	Code      int
	Signal    syscall.Signal
	OOMKilled bool
}

// Stats is what a sandbox uses.
type Stats struct {
	// MemoryBytes is anonymous and kernel memory in use now: page cache does not count, as on Lambda.
	MemoryBytes int64
	// CPUTime since the sandbox was made.
	CPUTime time.Duration
	// PIDs is the number of processes and threads now.
	PIDs int64
}

// Boundary names one thing a driver enforces or does not.
type Boundary string

// The boundaries and limits that every driver reports.
const (
	BoundaryFiles      Boundary = "files"          // the host's and other sandboxes' files cannot be seen
	BoundaryProcesses  Boundary = "processes"      // other processes cannot be seen or signalled
	BoundaryNetwork    Boundary = "network"        // the host's network cannot be reached
	BoundaryEgress     Boundary = "egress"         // the Internet can be reached, through a route of our own
	BoundaryIdentity   Boundary = "identity"       // a user of its own, without any privilege
	BoundarySyscalls   Boundary = "syscalls"       // system calls are filtered by an allow-list
	BoundaryLandlock   Boundary = "landlock"       // a second wall around files
	LimitMemory        Boundary = "memory"         // Limits.MemoryBytes
	LimitCPU           Boundary = "cpu"            // Limits.MilliCPU
	LimitAllMemory     Boundary = "all-memory"     // what all sandboxes of a driver may use together, see MemoryBounder
	LimitPIDs          Boundary = "pids"           // Limits.PIDs
	LimitOpenFiles     Boundary = "open-files"     // Limits.OpenFiles
	LimitTmp           Boundary = "tmp"            // Limits.TmpBytes
	LimitDiskBandwidth Boundary = "disk-bandwidth" // Limits.DiskBytesPerSecond
	LimitNetBandwidth  Boundary = "net-bandwidth"  // Limits.NetBytesPerSecond
	// AbilityAttach is no wall: binds can be attached to a sandbox whose processes run, so it can be a zygote.
	AbilityAttach Boundary = "attach"
)

// Boundaries is every Boundary, in the order they are shown.
var Boundaries = []Boundary{
	BoundaryFiles, BoundaryProcesses, BoundaryNetwork, BoundaryEgress, BoundaryIdentity, BoundarySyscalls,
	BoundaryLandlock, LimitMemory, LimitAllMemory, LimitCPU, LimitPIDs, LimitOpenFiles, LimitTmp,
	LimitDiskBandwidth, LimitNetBandwidth, AbilityAttach,
}

// Capability says whether a driver enforces a boundary on this host.
type Capability struct {
	Boundary Boundary
	Enforced bool
	// Reason says why it is not enforced, Mend what the user can do about it. Both empty when enforced.
	Reason string
	Mend   string
}

// Error is a sandbox error that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of every driver.
const (
	// ErrDestroyed answers every call after Destroy.
	ErrDestroyed Error = "sandbox: destroyed"
	// ErrSealed answers Attach, and Start of a template's copy, once user code may have run.
	ErrSealed Error = "sandbox: code is already attached"
	// ErrNotFound answers Start for a program that is not inside or not executable.
	ErrNotFound Error = "sandbox: no such program"
	// ErrFrozen answers what a frozen sandbox cannot do: thaw it first.
	ErrFrozen Error = "sandbox: frozen"
	// ErrEnded answers Start, Attach and Reset when even the driver's own init is gone. Destroy it.
	ErrEnded Error = "sandbox: everything inside has ended"
)
