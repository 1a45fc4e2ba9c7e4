//go:build linux && (amd64 || arm64)

package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
)

// checkEgress refuses what this driver cannot give.
func (d *Driver) checkEgress(spec *sandbox.Spec) error {
	if spec.Egress != sandbox.EgressNone && d.network == nil {
		return fmt.Errorf("sandbox: egress %s without a network: %w", spec.Egress, errors.ErrUnsupported)
	}
	return nil
}

// joinNetwork connects the sandbox to the outside, if that is wanted, while stage-1 makes the rest. What it returns is to
// be called before anything else is done with the sandbox.
func (b *box) joinNetwork(kind hullKind) (joined func() error) {
	if kind.egress == sandbox.EgressNone {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	b.routines.Go(func() {
		done <- b.connectNetwork(kind.netBytesPerSecond)
	})
	return func() error { return <-done }
}

func (b *box) connectNetwork(bytesPerSecond int64) (err error) {
	var namespace *os.File
	if b.house != nil {
		namespace = b.house.Namespace()
	} else {
		if namespace, err = networkOf(b.inside.pidfd); err != nil {
			return err
		}
		defer namespace.Close()
	}
	b.link, err = b.driver.network.Connect(namespace, bytesPerSecond)
	return err
}

// leaveNetwork cuts the sandbox off. The kernel removes the interface with the namespace, in its own time.
func (b *box) leaveNetwork() error {
	if b.link == nil {
		return nil
	}
	return b.link.Close()
}

// networkOf opens the network namespace of a process.
func networkOf(pidfd *os.File) (*os.File, error) {
	fd, err := unix.IoctlRetInt(rawFD(pidfd), unix.PIDFD_GET_NET_NAMESPACE)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), "network"), nil
	case unix.ESRCH:
		return nil, sandbox.ErrEnded
	}
	return networkByNumber(pidfd) // before Linux 6.11
}

func networkByNumber(pidfd *os.File) (*os.File, error) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(rawFD(pidfd)))
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	_, rest, _ := bytes.Cut(info, []byte("\nPid:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil || pid <= 0 {
		return nil, sandbox.ErrEnded
	}
	namespace, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	// The number is its own as long as it lives.
	if err := unix.PidfdSendSignal(rawFD(pidfd), 0, nil, 0); err != nil {
		return nil, errors.Join(sandbox.ErrEnded, namespace.Close())
	}
	return namespace, nil
}

// probeNetwork says what of the network is not enforced.
func (d *Driver) probeNetwork(missing map[sandbox.Boundary]sandbox.Capability, noNetwork string) {
	if d.network != nil {
		return
	}
	if noNetwork == "" {
		noNetwork = "a sandbox has a loopback device and no route anywhere"
	}
	missing[sandbox.BoundaryEgress] = sandbox.Capability{Reason: noNetwork}
	missing[sandbox.LimitNetBandwidth] = sandbox.Capability{Reason: "there is no network but loopback, which is not rationed"}
}
