package sandbox

import (
	"fmt"
	"io"
	"os"
)

// Egress says how far a sandbox's network reaches. Where the driver has no network of its own (BoundaryNetwork is not
// enforced) it is the host's, whatever this says.
type Egress string

// How far there is. Nothing reaches further unless somebody says so.
const (
	EgressNone     Egress = ""         // its own loopback
	EgressInternet Egress = "internet" // what Network lets it reach
)

// Network connects sandboxes to the outside. A driver that has one uses it for every sandbox with EgressInternet; one that
// has none refuses those, with errors.ErrUnsupported.
type Network interface {
	// Connect gives a network namespace, in which no user code runs yet, an interface with a route to what the sandbox may
	// reach: never the host, nor another sandbox. It may send so many bytes in a second, and receive so many; 0 is no
	// limit. Close cuts it off at once; the interface itself goes with the namespace. Safe for concurrent use.
	Connect(namespace *os.File, bytesPerSecond int64) (io.Closer, error)
}

func (e Egress) validate() error {
	if e != EgressNone && e != EgressInternet {
		return fmt.Errorf("sandbox: egress %q", string(e))
	}
	return nil
}
