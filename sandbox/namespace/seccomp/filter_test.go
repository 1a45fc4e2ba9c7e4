//go:build linux && (amd64 || arm64)

package seccomp

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func program(t testing.TB) []Instruction {
	t.Helper()
	p, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func call(number uintptr, args ...uint64) data {
	d := data{number: uint32(number), arch: auditArch}
	copy(d.args[:], args)
	return d
}

func TestRefusals(t *testing.T) {
	p := program(t)
	eperm, enosys := Errno(uint16(unix.EPERM)), Errno(uint16(unix.ENOSYS))
	for _, c := range []struct {
		name string
		data data
		want Action
	}{
		{"another architecture", data{number: unix.SYS_READ, arch: unix.AUDIT_ARCH_I386}, enosys},
		{"no architecture", data{number: unix.SYS_READ}, enosys},
		{"x32", data{number: x32Bit | unix.SYS_READ, arch: auditArch}, enosys},
		{"highest number", data{number: 0xffffffff, arch: auditArch}, enosys},
		{"number of the future", call(5000), enosys},
		{"io_uring_setup", call(unix.SYS_IO_URING_SETUP), enosys},
		{"userfaultfd", call(unix.SYS_USERFAULTFD), enosys},
		{"clone3", call(unix.SYS_CLONE3), enosys},
		{"memfd_secret", call(unix.SYS_MEMFD_SECRET), enosys},
		{"ptrace", call(unix.SYS_PTRACE), eperm},
		{"mount", call(unix.SYS_MOUNT), eperm},
		{"bpf", call(unix.SYS_BPF), eperm},
		{"clone into a user namespace", call(unix.SYS_CLONE, unix.CLONE_NEWUSER|uint64(unix.SIGCHLD)), eperm},
		{"the same with high bits", call(unix.SYS_CLONE, 1<<40|unix.CLONE_NEWNS), eperm},
		{"TIOCSTI", call(unix.SYS_IOCTL, 0, unix.TIOCSTI), eperm},
		{"TIOCSTI with high bits", call(unix.SYS_IOCTL, 0, 1<<32|unix.TIOCSTI), eperm},
		{"TIOCLINUX", call(unix.SYS_IOCTL, 0, unix.TIOCLINUX), eperm},
		{"personality without randomization", call(unix.SYS_PERSONALITY, 0x0040000), eperm},
		{"packet socket", call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0), Errno(uint16(unix.EAFNOSUPPORT))},
		{"kernel crypto", call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0), Errno(uint16(unix.EAFNOSUPPORT))},
		{"vsock", call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0), Errno(uint16(unix.EAFNOSUPPORT))},
		{"raw socket", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), eperm},
		{"SCTP", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP), Errno(uint16(unix.EPROTONOSUPPORT))},
		{"netfilter netlink", call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), Errno(uint16(unix.EPROTONOSUPPORT))},
		{"socketpair of another family", call(unix.SYS_SOCKETPAIR, unix.AF_TIPC, unix.SOCK_STREAM), Errno(uint16(unix.EAFNOSUPPORT))},
	} {
		if got := run(t, p, c.data); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

func TestAllowances(t *testing.T) {
	p := program(t)
	for _, number := range slices.Concat(allowed(), allowedHere()) {
		if got := run(t, p, call(uintptr(number))); got != Allow {
			t.Errorf("call %d: %#x", number, got)
		}
	}
	for _, c := range []struct {
		name string
		data data
	}{
		{"fork", call(unix.SYS_CLONE, uint64(unix.SIGCHLD))},
		{"thread", call(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_FILES|unix.CLONE_SIGHAND|unix.CLONE_THREAD)},
		{"ioctl FIONREAD", call(unix.SYS_IOCTL, 0, unix.TIOCINQ)},
		{"personality query", call(unix.SYS_PERSONALITY, 0xffffffff)},
		{"TCP", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)},
		{"UDP over IPv6", call(unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP)},
		{"unix", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)},
		{"route netlink", call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)},
		{"socketpair", call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM)},
	} {
		if got := run(t, p, c.data); got != Allow {
			t.Errorf("%s: %#x", c.name, got)
		}
	}
}

// Every number gets what its table says, whatever the arguments; those without a table do not exist.
func TestEveryNumber(t *testing.T) {
	p := program(t)
	want := map[uint32]Action{}
	for _, number := range slices.Concat(allowed(), allowedHere()) {
		want[number] = Allow
	}
	for _, number := range slices.Concat(refused(), refusedHere()) {
		want[number] = Errno(uint16(unix.EPERM))
	}
	decided := conditional()
	rapid.Check(t, func(rt *rapid.T) {
		d := data{arch: auditArch, number: rapid.OneOf(rapid.Uint32Range(0, 500), rapid.Uint32()).Draw(rt, "number")}
		for i := range d.args {
			d.args[i] = rapid.Uint64().Draw(rt, "argument")
		}
		if decided[d.number] != nil {
			rt.Skip()
		}
		expected, listed := want[d.number]
		if !listed {
			expected = Errno(uint16(unix.ENOSYS))
		}
		if got := run(t, p, d); got != expected {
			rt.Fatalf("call %d: %#x, want %#x", d.number, got, expected)
		}
	})
}

// Blocks longer than a jump can skip must mean the same as short ones.
func TestSearchMeansLookup(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 1<<20), 1, 900, rapid.ID).Draw(rt, "numbers")
		rules := map[uint32]code{}
		for _, number := range numbers {
			rules[number] = ret(Errno(uint16(1 + number%7)))
		}
		p := join(load(offNumber), search(spans(rules, ret(Allow))))
		ask := rapid.OneOf(rapid.SampledFrom(numbers), rapid.Uint32()).Draw(rt, "ask")
		want := Allow
		if rules[ask] != nil {
			want = Errno(uint16(1 + ask%7))
		}
		if got := run(t, p, data{number: ask}); got != want {
			rt.Fatalf("%d: %#x, want %#x", ask, got, want)
		}
	})
}

func TestBytes(t *testing.T) {
	got := Bytes([]Instruction{{Code: 0x1234, JT: 5, JF: 6, K: 0x789abcde}})
	if want := []byte{0x34, 0x12, 5, 6, 0xde, 0xbc, 0x9a, 0x78}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
