//go:build linux

package main

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

const maxFD = 1<<31 - 1 // no descriptor is higher, and gVisor takes it for a signed number

// confine takes from the calling thread, and so from every process forked from it, all that they must not have.
func confine(steps []wire.Step, descriptors []int) failure {
	for i := range steps {
		if errno := do(&steps[i], descriptors); errno != 0 {
			return failure{steps[i].Name, errno}
		}
	}
	return failure{}
}

// do makes the call of one step.
func do(step *wire.Step, descriptors []int) syscall.Errno {
	var pinned runtime.Pinner
	defer pinned.Unpin()
	var args [6]uintptr
	for i, arg := range step.Args {
		switch arg.Kind {
		case wire.ArgNumber:
			args[i] = uintptr(arg.Number)
		case wire.ArgDescriptor:
			if arg.Number >= uint64(len(descriptors)) {
				return unix.EBADF
			}
			args[i] = uintptr(descriptors[arg.Number])
		case wire.ArgData:
			// A byte more, so that there is an address of nothing too.
			data := append([]byte(arg.Data), 0)
			pinned.Pin(&data[0])
			args[i] = uintptr(unsafe.Pointer(&data[0]))
		case wire.ArgProgram:
			instructions := make([]unix.SockFilter, len(arg.Data)/8)
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&instructions[0])), len(arg.Data)), arg.Data)
			program := &unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
			pinned.Pin(program)
			pinned.Pin(&instructions[0])
			args[i] = uintptr(unsafe.Pointer(program))
		}
	}
	_, _, errno := unix.RawSyscall6(uintptr(step.Call), args[0], args[1], args[2], args[3], args[4], args[5])
	for _, tolerated := range step.Tolerate {
		if errno == syscall.Errno(tolerated) {
			return 0
		}
	}
	return errno
}

// isUser says whether stage-1 has the same id as the user inside: an ordinary user's only one.
func isUser(uid uint32) bool { return unix.Geteuid() == int(uid) }
