// Package wire is the language between the namespace driver and stage-1, the init program inside a sandbox:
// one message per datagram of a SOCK_SEQPACKET socketpair, descriptors beside it (SCM_RIGHTS). It is strict:
// what is not exactly a message of this version is refused, because either side may be in hostile hands. It
// must not know what is done with a message, and imports next to nothing: stage-1 starts in a millisecond.
//
//	message = version(1) type(1) id(uvarint) fields
//	string  = length(uvarint) bytes;  list = count(uvarint) items
package wire

import "encoding/binary"

// Version is the first byte of every message. The daemon embeds the stage-1 that it talks to, so two versions
// never have to understand each other.
const Version = 1

// Limits of a message. MaxRequest is what fits a socket's default send buffer, in bytes.
const (
	MaxRequest = 128 << 10
	MaxReply   = 4 << 10
	MaxFDs     = 128
	maxItems   = 8 << 10 // arguments, variables, mounts: each list
)

// Type says what a message is.
type Type byte

// The messages. What comes first decides what stage-1 is: after Setup, once, a sandbox's init; after Launch a
// launcher, which knows nothing else; after Template the program that it names, which answers that request and then knows
// Fork alone. Reply answers every request but Signal and Fork.
const (
	// The programs of templates have the numbers of the first three.
	TypeReply    Type = 1 + iota // stage-1, a template: the request with this id is done, or failed
	TypeFork                     // daemon, to a template: copy yourself into a sandbox
	TypeForked                   // a template's copy: it is what it was to become, or is not
	TypeSetup                    // daemon: mount, listen, prepare
	TypeStart                    // daemon: start a process; the request's id names it from then on
	TypeSignal                   // daemon: signal the process with this id; not answered
	TypeAttach                   // daemon: mount more
	TypeReset                    // daemon: kill everything but stage-1
	TypeLaunch                   // daemon, to a launcher: start a stage-1
	TypeSocket                   // daemon: make a stream socket in this network
	TypeStop                     // daemon: stop everything but stage-1, or let it go on
	TypeTemplate                 // daemon: become a template
	TypeRuleset                  // daemon: hand over what confines files
	TypeAdopt                    // daemon: a copy of a template has come in; the request's id names it from then on
	TypeExit                     // stage-1: the process with this id has ended
)

// Error is a decoding error: the bytes are not a message.
type Error string

func (e Error) Error() string { return "wire: " + string(e) }

// What can be wrong with a message.
const (
	ErrVersion  Error = "not version 1"
	ErrType     Error = "unknown type"
	ErrShort    Error = "ends early"
	ErrTrailing Error = "bytes after its end"
	ErrLength   Error = "too long"
	ErrNumber   Error = "number out of range"
)

// Header is what every message begins with.
type Header struct {
	Type Type
	ID   uint64
}

// Setup makes the sandbox. Its descriptors are detached mounts: the root, then one per target in Mounts.
type Setup struct {
	Hostname string
	Mounts   []string // targets, absolute, in mounting order
	Listen   []Address
	Limits   []Limit
	UID, GID uint32 // the user of every process, as seen inside
	// Confine is what is done to the thread that every process is forked from, in the form of EncodeSteps: not every
	// sandbox needs that thread. With Landlock its descriptor 0 is the ruleset, which stage-1 makes: the rules are about
	// what is in this root.
	Confine  string
	Landlock bool
	// Housed says that somebody else (an OCI runtime) made the namespaces, the root and the sockets around stage-1:
	// Hostname, Mounts and Listen are empty, and no mount comes along.
	Housed bool
}

// Address is an address to listen on: 4 or 16 bytes of IP, and a port of TCP, or of UDP if it is for packets.
type Address struct {
	IP     string
	Port   uint16
	Packet bool
}

// Limit is a resource limit, soft and hard (setrlimit(2)).
type Limit struct {
	Resource uint32
	Most     uint64
}

// Start starts a process. Its descriptors are stdout and stderr where they are present, then the Files.
type Start struct {
	Path, Dir  string
	Args, Env  []string
	HasStdout  bool
	HasStderr  bool
	FilesCount uint32
}

// Signal signals one process.
type Signal struct{ Number uint32 }

// Attach mounts its descriptors at the targets.
type Attach struct{ Mounts []string }

// Reset has no fields.
type Reset struct{}

// Launch starts a stage-1 in namespaces of its own. Its descriptors are the control socket that the new one is to
// have; if HasCgroup, the version 2 control group that it is born into; and as many files as Groups says of
// version 1 control groups to be in while forking, and as many to be in afterwards.
type Launch struct {
	InitID, UserID uint32 // the host's user and group ids of stage-1 and of the user inside
	UID, GID       uint32 // the user as seen inside
	HasCgroup      bool
	Groups         uint32
	// Template starts one that stays the launcher's user and sees its processes, with no ids of its own.
	Template bool
}

// Socket makes an unconnected stream socket that belongs to the sandbox's network namespace for ever, wherever it is
// connected.
type Socket struct {
	V6 bool // of IPv6, else of IPv4
}

// Stop stops every process with SIGSTOP, or ends that: what freezes where no control group can.
type Stop struct {
	GoOn bool
}

// Template makes the process, started as one, into a program that makes copies of itself. Its descriptors are detached
// mounts, as Setup's, and what it prints to. The program has nothing else open but this control socket, as descriptor 4,
// and /dev/null, and answers for stage-1. It is the first request, so its id is 1.
type Template struct {
	Mounts    []string
	Path, Dir string
	Args, Env []string
	Confine   []Step
}

// Fork has a template make a copy of itself in a sandbox. The descriptors are the pipe on which the copy says Forked, which
// ends without it when nobody is left who could; if HasCgroup, the version 2 control group that it is born into; its output
// and files as Start's; and what else the steps take.
type Fork struct {
	HasCgroup  bool
	HasStdout  bool
	HasStderr  bool
	FilesCount uint32
	Dir        string
	// Enter is done by the process that is born into the group: the way into the namespaces. Its grandchild, which is in
	// the process namespace too, does Become.
	Enter, Become []Step
}

// Forked says what became of a copy: its process, as numbered inside, or what failed.
type Forked struct {
	PID   uint32
	Errno uint32
	Stage string
}

// Ruleset has no fields.
type Ruleset struct{}

// Adopt says which process it is, as numbered inside. It has no other parent than stage-1 any more.
type Adopt struct{ PID uint32 }

// Reply answers a request. Ruleset's carries the ruleset, Setup's carries the sockets of Listen, in the order asked for, Launch's the pidfd of
// the new stage-1, Socket's the socket.
type Reply struct {
	Errno uint32 // 0 is success
	Stage string // what failed, for a person
}

// Exit reports the end of a process.
type Exit struct{ WaitStatus uint32 }

// encoder appends; it cannot fail.
type encoder struct{ buf []byte }

func encode(t Type, id uint64) *encoder {
	e := &encoder{buf: make([]byte, 0, 256)}
	e.buf = append(e.buf, Version, byte(t))
	e.uint(id)
	return e
}

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) bool(b bool) {
	if b {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
}

// decoder remembers the first error and yields zeros after it.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) fail(err Error) {
	if d.err == nil {
		d.err = err
	}
	d.buf = nil
}

func (d *decoder) byte() byte {
	if len(d.buf) == 0 {
		d.fail(ErrShort)
		return 0
	}
	b := d.buf[0]
	d.buf = d.buf[1:]
	return b
}

// uint reads a number of at most most, in its shortest form: one meaning has one spelling.
func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.buf)
	switch {
	case n == 0:
		d.fail(ErrShort)
		return 0
	case n < 0 || v > most || n > 1 && d.buf[n-1] == 0:
		d.fail(ErrNumber)
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint(MaxRequest)
	if n > uint64(len(d.buf)) {
		d.fail(ErrShort)
		return ""
	}
	s := string(d.buf[:n])
	d.buf = d.buf[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.uint(maxItems)
	if n > uint64(len(d.buf)) { // each item takes a byte at least
		d.fail(ErrShort)
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.fail(ErrNumber)
	}
	return b == 1
}

// end refuses what is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.buf) > 0 {
		d.err = ErrTrailing
	}
	return d.err
}
