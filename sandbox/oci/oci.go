//go:build linux && (amd64 || arm64)

// Package oci is the sandbox driver over an OCI runtime: runc, or gVisor's runsc, whose kernel in user space is a
// second wall between functions and the host. The runtime makes namespaces, root and init; everything else is the
// namespace driver's, on which this one is built. It needs root. It must not know functions, Lambda's runtimes or
// AWS.
//
// Process 1 of every container is stage-1, the namespace driver's own init, with its control socket as standard
// input: it starts processes with the descriptors that come through that socket, which gVisor takes in as well. So a
// process starts in a millisecond, and the runtime is asked once per sandbox.
package oci

import (
	"log/slog"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
)

// Config is what the driver needs to know.
type Config struct {
	// StateDir is an absolute directory that belongs to this driver alone. It is made where it is missing, and locked.
	StateDir string
	// Runtime is the OCI runtime's command: a name on SearchPath or a path; empty means runc, else runsc.
	Runtime string
	// SearchPath are the directories of PATH.
	SearchPath []string
	// DiskReserve is namespace.Config's.
	DiskReserve int64
	// MemoryBytes is namespace.Config's.
	MemoryBytes int64
	// Stage1 is the init program; nil means the one embedded in this binary.
	Stage1 []byte
	// Network and NoNetwork are namespace.Config's.
	Network   sandbox.Network
	NoNetwork string
	Log       *slog.Logger
}

// Error is an error of this driver that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// ErrNoRuntime says that no OCI runtime is installed, or not the one asked for.
const ErrNoRuntime Error = "sandbox: no OCI runtime: install runc, or runsc for gVisor (apt-get install runc runsc)"

// New finds the runtime and makes the driver. Close it.
func New(config Config) (sandbox.Driver, error) {
	found, err := find(config.Runtime, config.SearchPath)
	if err != nil {
		return nil, err
	}
	return namespace.New(namespace.Config{
		StateDir: config.StateDir, Stage1: config.Stage1, DiskReserve: config.DiskReserve, MemoryBytes: config.MemoryBytes, Log: config.Log,
		Housing: &housing{runtime: found}, Network: config.Network, NoNetwork: config.NoNetwork,
	})
}
