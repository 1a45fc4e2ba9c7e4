//go:build linux

package router

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openTUN makes an interface whose packets are the file's. It is for the namespace of the calling thread.
func openTUN(name string, index int) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("router: /dev/net/tun: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, index); err != nil {
		return nil, errors.Join(fmt.Errorf("router: make a TUN interface: %w", err), unix.Close(fd))
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(fmt.Errorf("router: make a TUN interface: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// setSysctls sets what the router's namespace does with packets; the calling thread is in it.
func setSysctls(has6 bool) error {
	for _, setting := range [...]struct{ name, value string }{
		{"ipv4/ip_forward", "1"},
		// A packet that already has its socket is not forwarded: one that opens a connection from the port of an old one
		// must be.
		{"ipv4/ip_early_demux", "0"},
		// Where a packet comes from is checked by a rule, for IPv6 too.
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		// Both ends are on this machine: no more is ever under way, and no connection holds more
		// than this, or its share (room.go).
		{"ipv4/tcp_rmem", "4096 " + strconv.Itoa(innerLeast) + " " + strconv.Itoa(innerMost)},
		{"ipv4/tcp_wmem", "4096 65536 " + strconv.Itoa(innerMost)},
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		{"ipv4/conf/all/accept_redirects", "0"},
		{"ipv4/conf/default/accept_redirects", "0"},
		{"ipv6/conf/all/forwarding", "1"},
		{"ipv6/conf/default/forwarding", "1"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/addr_gen_mode", "1"}, // no addresses of their own
	} {
		if !has6 && strings.HasPrefix(setting.name, "ipv6/") {
			continue
		}
		err := os.WriteFile("/proc/sys/net/"+setting.name, []byte(setting.value), 0)
		if err != nil {
			return fmt.Errorf("router: %w", err)
		}
	}
	return nil
}
