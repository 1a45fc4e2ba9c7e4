package sandbox

import "net"

// Sockets are what a sandbox listens on, by the addresses that are valid inside. A driver embeds them in its Sandbox and
// fills them before anybody has that; then they are only read.
type Sockets struct {
	Streams map[string]net.Listener
	Packets map[string]net.PacketConn
}

// NewSockets makes empty ones.
func NewSockets() Sockets {
	return Sockets{Streams: map[string]net.Listener{}, Packets: map[string]net.PacketConn{}}
}

// Listener is Sandbox's: nil for an address that was not asked for.
func (s *Sockets) Listener(address string) net.Listener { return s.Streams[address] }

// PacketConn is Sandbox's: nil for an address that was not asked for.
func (s *Sockets) PacketConn(address string) net.PacketConn { return s.Packets[address] }

// CloseSockets closes them all. They can be asked for as before.
func (s *Sockets) CloseSockets() {
	for _, listener := range s.Streams {
		listener.Close()
	}
	for _, conn := range s.Packets {
		conn.Close()
	}
}
