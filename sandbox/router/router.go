//go:build linux

// Package router is the sandboxes' way out. It makes a network namespace of its own, the router, and connects every
// sandbox to it with a pair of interfaces and a route; what a sandbox sends to the outside ends in this process, which
// talks to the outside with ordinary sockets of the host. The host forwards nothing: its addresses, routes, rules and
// settings stay as they are. It must not know functions, nor how sandboxes are made.
//
//	sandbox ---- veth ---- router ---- TUN ---- this process ---- the host's sockets ---- the world
//
// A connection is opened only when the outside has taken it: the packet that asks for one goes through the TUN interface
// to this process, which connects; it then gives the packet back to the router, whose kernel answers it (TPROXY), or it
// answers in the outside's name: refused, no route, forbidden. From then on the two kernels do TCP and this process copies.
// Datagrams go through the TUN interface, each way. Nothing else is carried.
//
// Whom a sandbox may talk to is decided in one place (policy.go), at the moment of connecting. A sandbox has addresses
// that nobody else uses; a packet that says otherwise is dropped, and none goes from one sandbox to another.
package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/router/rtnl"
)

const (
	loopbackIndex = 1
	// tunIndex and firstIndex are interfaces of the router, peerIndex is a sandbox's. Kernels put interfaces of their own
	// at the first numbers of every namespace.
	tunIndex, peerIndex, firstIndex = 900, 900, 1000
	// peerName is the interface inside.
	peerName = "eth0"
	// linkMTU is as long as a packet can be: no datagram is ever cut into fragments on the way here.
	linkMTU = 65535
)

// Config is what a router is told. The zero value is usable.
type Config struct {
	// Denied are networks that no sandbox may talk to, beside those that none ever may.
	Denied []netip.Prefix
	// MaxConnections bounds the TCP connections of all sandboxes; each takes two descriptors of this process. 0 means a
	// quarter of what it may have, which is half of them.
	MaxConnections int
	// MaxBuffered bounds the memory, in bytes, for what is on its way in the connections of all sandboxes. 0 means a
	// thirty-second of this machine's, and 64 MiB at least.
	MaxBuffered int64
	// Log takes what is wrong with the router itself. nil means nobody.
	Log *slog.Logger
}

// Router is the sandboxes' way out. It is safe for concurrent use.
type Router struct {
	log    *slog.Logger
	policy policy

	namespace *os.File
	tun       *os.File
	links     *rtnl.Conn // in the namespace
	host      *rtnl.Conn // outside of it
	home      *os.File   // the namespace outside
	proxies   []net.Listener
	has6      bool
	slots     chan struct{} // a token for each TCP connection
	room      *room
	most      kernelMost // of sockets towards the outside

	// connecting is held by who makes interfaces: the kernel does it for one after the other, and has those who wait spin.
	connecting sync.Mutex

	ctx      context.Context // ends with the router
	cancel   context.CancelFunc
	routines sync.WaitGroup

	mu        sync.Mutex // guards the rest
	byAddress map[netip.Addr]*link
	numbers   numbers
	nextIndex int
	closed    bool
}

var _ sandbox.Network = (*Router)(nil)

// New makes a router. The calling process must be root, of a user namespace at least. Close it; when the process dies, the kernel does.
func New(config Config) (*Router, error) {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.MaxConnections <= 0 {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return nil, fmt.Errorf("router: %w", err)
		}
		config.MaxConnections = int(min(limit.Cur/4, 1<<16))
	}
	r := &Router{
		log: config.Log, slots: make(chan struct{}, config.MaxConnections),
		byAddress: map[netip.Addr]*link{}, numbers: newNumbers(), nextIndex: firstIndex,
	}
	var err error
	if r.room, err = makeRoom(config.MaxBuffered); err != nil {
		return nil, err
	}
	if r.most, err = readKernelMost(); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.release())
	}
	r.policy = policy{denied: config.Denied, isLocal: r.host.IsLocal}
	r.routines.Go(r.readTUN)
	for _, proxy := range r.proxies {
		r.routines.Go(func() { r.accept(proxy) })
	}
	return r, nil
}

// open acquires what release gives back.
func (r *Router) open() (err error) {
	if r.home, err = rtnl.Own(); err != nil {
		return err
	}
	if r.host, err = rtnl.Dial(); err != nil {
		return err
	}
	if r.namespace, err = rtnl.NewNamespace(); err != nil {
		return err
	}
	return rtnl.Inside(r.namespace, r.furnish)
}

// furnish makes what is in the router's namespace, which the calling thread is in.
func (r *Router) furnish() (err error) {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		r.has6 = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("router: %w", err)
	}
	if err := setSysctls(r.has6); err != nil {
		return err
	}
	if r.links, err = rtnl.Dial(); err != nil {
		return err
	}
	if r.tun, err = openTUN(tunName, tunIndex); err != nil {
		return err
	}
	// Without an address of its own, every route that is added has the kernel look for one at all interfaces there are.
	if err := r.links.Do(rtnl.Up(loopbackIndex, 0), rtnl.Address(loopbackIndex, ownAddress), rtnl.Up(tunIndex, linkMTU)); err != nil {
		return err
	}
	var ports [2]uint16
	for i, address := range [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if address.Is6() && !r.has6 {
			break
		}
		all := netip.PrefixFrom(address, 0)
		if err := r.links.Do(
			rtnl.Rule(address, markProxy, tableProxy), rtnl.Route(all, loopbackIndex, tableProxy, unix.RTN_LOCAL),
			rtnl.Rule(address, markOut, tableOut), rtnl.Route(all, tunIndex, tableOut, unix.RTN_UNICAST),
		); err != nil {
			return err
		}
		proxy, err := listenTransparent(address)
		if err != nil {
			return err
		}
		r.proxies = append(r.proxies, proxy)
		ports[i] = uint16(proxy.Addr().(*net.TCPAddr).Port)
	}
	return writeRules(ports[0], ports[1])
}

// listenTransparent listens for connections to addresses of others, which rules lead here.
func listenTransparent(address netip.Addr) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			if address.Is4() {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
			} else {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
			}
		})
		return errors.Join(err, failed)
	}}
	config.SetMultipathTCP(false) // it is what a SYN asks of somebody else
	network := "tcp6"
	if address.Is4() {
		network = "tcp4"
	}
	// An address is no name: this thread asks nobody, and makes the socket itself.
	listener, err := config.Listen(context.Background(), network, netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	return listener, nil
}

func (r *Router) release() error {
	r.cancel()
	for _, proxy := range r.proxies {
		proxy.Close()
	}
	for _, file := range []*os.File{r.tun, r.namespace, r.home} {
		if file != nil {
			file.Close()
		}
	}
	r.routines.Wait()
	return errors.Join(r.links.Close(), r.host.Close())
}

// Close cuts every sandbox off and removes the router. Idempotent.
func (r *Router) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	var all []*link
	for _, l := range r.byAddress {
		all = append(all, l)
	}
	r.mu.Unlock()
	for _, l := range all {
		_ = l.Close() // always nil
	}
	return r.release()
}

// Connect implements sandbox.Network. It gives a network namespace, in which no user code runs yet, an interface and a route to the outside, at most that
// many bytes per second in each direction (0: any). Close cuts it off; the interface goes with the namespace.
func (r *Router) Connect(namespace *os.File, bytesPerSecond int64) (io.Closer, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		l, err := r.newLink(bytesPerSecond)
		if err != nil {
			return nil, err
		}
		if err = r.connect(l, namespace); err == nil {
			return l, nil
		}
		err = errors.Join(err, l.Close())
		// The kernel may still be removing the interface that had the address before.
		if !errors.Is(err, unix.EEXIST) || attempt == attempts {
			return nil, err
		}
	}
}

// connect makes a link's interfaces. On an error neither is left.
func (r *Router) connect(l *link, namespace *os.File) error {
	inside, err := rtnl.DialIn(namespace, r.home)
	if err != nil {
		return err
	}
	defer inside.Close()
	pair := rtnl.Veth{
		Name: l.name(), Index: l.index, Group: sandboxGroup,
		PeerName: peerName, PeerIndex: peerIndex, PeerNamespace: namespace,
		MTU: linkMTU,
	}
	here := []rtnl.Request{pair.Make(), rtnl.Up(l.index, 0)}
	there := []rtnl.Request{rtnl.Point(peerIndex, r.has6)}
	for _, address := range l.addresses() {
		here = append(here, rtnl.Route(netip.PrefixFrom(address, address.BitLen()), l.index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST))
		there = append(there, rtnl.Address(peerIndex, address), rtnl.Route(everywhere(address), peerIndex, unix.RT_TABLE_MAIN, unix.RTN_UNICAST))
	}
	r.connecting.Lock()
	defer r.connecting.Unlock()
	err = r.links.Do(here...)
	if err == nil {
		err = inside.Do(there...)
	}
	if err == nil {
		err = r.links.Do(rtnl.Settle(l.index))
	}
	if err == nil {
		return nil
	}
	if removeErr := r.links.Do(rtnl.Remove(l.index)); !errors.Is(removeErr, unix.ENODEV) { // it may not have been made
		err = errors.Join(err, removeErr)
	}
	return err
}

// everywhere is all addresses of an address's family.
func everywhere(of netip.Addr) netip.Prefix {
	if of.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// find returns the sandbox with an address.
func (r *Router) find(address netip.Addr) *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byAddress[address]
}

// readTUN takes what sandboxes send that is not of an open connection.
func (r *Router) readTUN() {
	b := make([]byte, linkMTU)
	for {
		n, err := r.tun.Read(b)
		if err != nil {
			if r.ctx.Err() == nil {
				r.log.Error("the router has lost its interface: sandboxes are without a network", "error", err)
			}
			return
		}
		p, err := parse(b[:n])
		if err != nil {
			continue // nothing that is carried
		}
		l := r.find(p.from.Addr())
		switch {
		case l == nil: // it has just been cut off
		case p.syn():
			l.open(&p)
		case p.proto == protoUDP:
			l.send(&p)
		}
	}
}

// inject gives a packet to the router's namespace. Like any packet, it may be lost.
func (r *Router) inject(packet []byte) { _, _ = r.tun.Write(packet) }
