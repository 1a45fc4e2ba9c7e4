package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of what a Spec or a Command may hold, so that a driver can size its messages.
const (
	MaxBinds   = 64  // of Root, Spec and all Attach calls of one sandbox
	MaxListen  = 16  // addresses of Spec.Listen and Spec.ListenPacket together
	MaxFiles   = 64  // Command.Files
	maxIDBytes = 64  // Spec.ID
	maxHost    = 64  // Spec.Hostname, HOST_NAME_MAX
	maxMilli   = 1e6 // Limits.MilliCPU: a thousand CPUs
)

// Validate says what is wrong with the spec, whatever the driver. A driver calls it first.
func (s *Spec) Validate() error {
	if len(s.ID) == 0 || len(s.ID) > maxIDBytes || strings.Trim(s.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("sandbox: ID %q is not [a-z0-9-]{1,64}", s.ID)
	}
	if len(s.Hostname) > maxHost || strings.ContainsAny(s.Hostname, "\x00/\n") {
		return fmt.Errorf("sandbox: hostname %q", s.Hostname)
	}
	if s.Root.Dir != "" && !filepath.IsAbs(s.Root.Dir) {
		return fmt.Errorf("sandbox: root directory %q is not absolute", s.Root.Dir)
	}
	if len(s.Root.Binds)+len(s.Binds) > MaxBinds {
		return fmt.Errorf("sandbox: more than %d binds", MaxBinds)
	}
	if err := errors.Join(ValidateBinds(s.Root.Binds), ValidateBinds(s.Binds)); err != nil {
		return err
	}
	if len(s.Listen)+len(s.ListenPacket) > MaxListen {
		return fmt.Errorf("sandbox: more than %d addresses to listen on", MaxListen)
	}
	return errors.Join(s.Limits.Validate(), s.Egress.validate(), validateListen(s.Listen), validateListen(s.ListenPacket))
}

// ValidateBinds says what is wrong with the binds: both ends are absolute, and targets are clean and not the
// root itself.
func ValidateBinds(binds []Bind) error {
	if len(binds) > MaxBinds {
		return fmt.Errorf("sandbox: more than %d binds", MaxBinds)
	}
	for _, bind := range binds {
		if !filepath.IsAbs(bind.Source) || strings.ContainsRune(bind.Source, 0) {
			return fmt.Errorf("sandbox: bind source %q is not absolute", bind.Source)
		}
		if !validInside(bind.Target) || bind.Target == "/" {
			return fmt.Errorf("sandbox: bind target %q is not absolute and clean", bind.Target)
		}
	}
	return nil
}

// Validate says what is wrong with the limits: none is negative.
func (l *Limits) Validate() error {
	if l.MemoryBytes < 0 || l.MilliCPU < 0 || l.PIDs < 0 || l.TmpBytes < 0 || l.DiskBytesPerSecond < 0 ||
		l.NetBytesPerSecond < 0 || l.MilliCPU > maxMilli {
		return fmt.Errorf("sandbox: limits %+v", *l)
	}
	return nil
}

// Validate says what is wrong with the command, whatever the driver.
func (c *Command) Validate() error {
	if !validInside(c.Path) {
		return fmt.Errorf("sandbox: program path %q is not absolute and clean", c.Path)
	}
	if c.Dir != "" && !validInside(c.Dir) {
		return fmt.Errorf("sandbox: directory %q is not absolute and clean", c.Dir)
	}
	if len(c.Args) == 0 {
		return errors.New("sandbox: no arguments: Args includes the program's own name")
	}
	if len(c.Files) > MaxFiles {
		return fmt.Errorf("sandbox: more than %d files", MaxFiles)
	}
	for _, text := range [][]string{c.Args, c.Env} {
		for _, item := range text {
			if strings.ContainsRune(item, 0) {
				return errors.New("sandbox: an argument or variable holds a NUL byte")
			}
		}
	}
	for _, file := range c.Files {
		if file == nil {
			return errors.New("sandbox: nil among the files")
		}
	}
	return nil
}

func validInside(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsRune(p, 0)
}

func validateListen(addresses []string) error {
	seen := map[string]bool{}
	for _, address := range addresses {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil || !parsed.Addr().IsLoopback() || parsed.Port() == 0 || parsed.Addr().Zone() != "" ||
			parsed.Addr().Is4In6() || parsed.String() != address { // one address has one spelling
			return fmt.Errorf("sandbox: listen address %q is not a loopback IP and port", address)
		}
		if seen[address] {
			return fmt.Errorf("sandbox: listen address %q given twice", address)
		}
		seen[address] = true
	}
	return nil
}

// DialTarget is where Sandbox.Dial is asked to connect to, if it may: a port of the loopback, over TCP.
func DialTarget(network, address string) (netip.AddrPort, error) {
	if network != "tcp" {
		return netip.AddrPort{}, fmt.Errorf("sandbox: dial over %q, want tcp", network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil || !target.Addr().IsLoopback() || target.Port() == 0 || target.Addr().Is4In6() {
		return netip.AddrPort{}, fmt.Errorf("sandbox: dial %q, want a loopback address and a port", address)
	}
	return target, nil
}
