package main

import "hotaru/pool"

// A ballast is memory that the garbage collector counts and nobody touches, so that it is none of the machine's. Go collects
// when what is in use has doubled. In a Hotaru with few environments that is 2 MB, so that it would collect after every
// 260 events, several times a second, and each time the events beside it take three times as long: the slowest one in a hundred
// is one of those.
const (
	mostBallast = 16 << 20
	// ballastPart of the memory that is available is the ballast at most: as much again is used under load.
	ballastPart = 256
)

// newBallast makes one that is right for a machine. It is to be made first, while what Go has of memory is the kernel's zeros,
// which nobody has to write, and to be kept alive.
func newBallast(machine pool.Machine) []byte {
	available, ok := machine.Available()
	if !ok {
		return nil
	}
	return make([]byte, min(max(available, 0)/ballastPart, mostBallast))
}
