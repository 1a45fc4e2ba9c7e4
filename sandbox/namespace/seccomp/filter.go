//go:build linux && (amd64 || arm64)

package seccomp

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Program is the filter of every process in a sandbox. What is not listed does not exist (ENOSYS), so that
// libraries fall back as on an older kernel; what only an administrator does is refused (EPERM).
func Program() ([]Instruction, error) {
	rules := map[uint32]code{}
	for _, number := range slices.Concat(allowed(), allowedHere()) {
		rules[number] = ret(Allow)
	}
	for _, number := range slices.Concat(refused(), refusedHere()) {
		if rules[number] != nil {
			return nil, errors.New("seccomp: a call is both allowed and refused")
		}
		rules[number] = ret(Errno(uint16(unix.EPERM)))
	}
	for number, body := range conditional() {
		if rules[number] != nil {
			return nil, errors.New("seccomp: a call is both conditional and not")
		}
		rules[number] = body
	}
	absent := ret(Errno(uint16(unix.ENOSYS)))
	program := join(
		load(offArch),
		branch(opJEQ, auditArch,
			join(load(offNumber), branch(opJGE, x32Bit, absent, search(spans(rules, absent)))),
			absent))
	if len(program) > maxProgram {
		return nil, errors.New("seccomp: the program is too long")
	}
	return program, nil
}

// x32Bit marks calls of the x32 ABI: the same kernel, other numbers, so a way around any table. No architecture
// has numbers that high otherwise.
const x32Bit = 0x40000000

// spans joins neighbouring numbers with the same rule.
func spans(rules map[uint32]code, otherwise code) []span {
	numbers := make([]uint32, 0, len(rules))
	for number := range rules {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	all := []span{{first: 0, body: otherwise}}
	add := func(first uint32, body code) {
		last := &all[len(all)-1]
		switch {
		case slices.Equal(last.body, body):
		case last.first == first:
			last.body = body
		default:
			all = append(all, span{first: first, body: body})
		}
	}
	for i, number := range numbers {
		add(number, rules[number])
		if i+1 == len(numbers) || numbers[i+1] != number+1 {
			add(number+1, otherwise)
		}
	}
	return all
}

// Flags of clone that make namespaces. CLONE_NEWTIME is not among them: in clone its bit belongs to the exit
// signal.
const cloneNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Personalities: native and 32-bit address limits, each with or without an old kernel's name, and the question
// which one it is. None that switches off address randomization or makes every page executable.
var personalities = []uint32{0x0, 0x0008, 0x20000, 0x20008, 0xffffffff}

// conditional are the calls whose arguments decide.
func conditional() map[uint32]code {
	allow, denied := ret(Allow), ret(Errno(uint16(unix.EPERM)))
	noFamily := ret(Errno(uint16(unix.EAFNOSUPPORT)))
	// The types of Internet sockets; raw ones need a capability that nobody has inside. Other types and
	// protocols are other protocol families by another name (SCTP, MPTCP, SMC, L2TP): kernel code that
	// no function needs.
	internet := join(arg(1), code{{Code: opAnd, K: 0xf}},
		in([]uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM},
			join(arg(2), in([]uint32{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6},
				allow, ret(Errno(uint16(unix.EPROTONOSUPPORT))))),
			denied))
	// getaddrinfo and getifaddrs ask the kernel for the addresses.
	netlink := join(arg(2), branch(opJEQ, unix.NETLINK_ROUTE, allow, ret(Errno(uint16(unix.EPROTONOSUPPORT)))))
	return map[uint32]code{
		// To write out everything is to have the host's disks flushed, for all and as often as one likes. They say that
		// it is done: nothing inside outlives the machine.
		unix.SYS_SYNC: ret(Errno(0)), unix.SYS_SYNCFS: ret(Errno(0)),
		unix.SYS_CLONE: join(arg(0), branch(opJSet, cloneNamespaces, denied, allow)),
		// Pushing characters into a terminal's input, and the console's copy and paste.
		unix.SYS_IOCTL:       join(arg(1), in([]uint32{unix.TIOCSTI, unix.TIOCLINUX}, denied, allow)),
		unix.SYS_PERSONALITY: join(arg(0), in(personalities, allow, denied)),
		unix.SYS_SOCKETPAIR:  join(arg(0), branch(opJEQ, unix.AF_UNIX, allow, noFamily)),
		unix.SYS_SOCKET: join(arg(0), branch(opJEQ, unix.AF_UNIX, allow,
			in([]uint32{unix.AF_INET, unix.AF_INET6}, internet,
				branch(opJEQ, unix.AF_NETLINK, netlink, noFamily)))),
	}
}
