package process

import (
	"context"
	"fmt"
	"net"

	"hotaru/sandbox"
)

// Dial connects to a port of the host's loopback, where the programs listen.
func (b *box) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := sandbox.DialTarget(network, address)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	ended, frozen := b.ended, b.frozen
	b.mu.Unlock()
	switch {
	case ended:
		return nil, sandbox.ErrDestroyed
	case frozen:
		return nil, sandbox.ErrFrozen
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, to.String())
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return conn, nil
}
