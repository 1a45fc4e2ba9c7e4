// Package seccomp makes the system call filter of a sandbox: an allow-list as a classic BPF program. It knows
// system calls and nothing else.
package seccomp

import "encoding/binary"

// Instruction is one BPF instruction, struct sock_filter of linux/filter.h.
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// The instructions that are used: load a word of struct seccomp_data, compare, jump, return.
const (
	opLoad = 0x20 // A = word at K
	opJump = 0x05 // skip K
	opJEQ  = 0x15 // A == K
	opJGE  = 0x35 // A >= K
	opJSet = 0x45 // A & K != 0
	opAnd  = 0x54 // A &= K
	opRet  = 0x06 // return K
)

// Where struct seccomp_data of linux/seccomp.h has its fields. Both architectures are little-endian.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// maxProgram is the kernel's BPF_MAXINSNS.
const maxProgram = 4096

// code is a block of instructions that ends in a return on every path, so that blocks can be put one behind
// the other and a jump is always forward, over a whole block.
type code []Instruction

// Action is what the kernel does with a call: SECCOMP_RET_* of linux/seccomp.h.
type Action uint32

// Allow lets the call through.
const Allow Action = 0x7fff0000

// Errno makes the call fail without being made.
func Errno(errno uint16) Action { return Action(0x00050000 | uint32(errno)) }

func ret(action Action) code { return code{{Code: opRet, K: uint32(action)}} }

func load(offset uint32) code { return code{{Code: opLoad, K: offset}} }

// arg loads the low half of an argument: the kernel takes flags, families and ioctl numbers as 32-bit values,
// so comparing more would let a caller dodge the comparison with a high bit that is then ignored.
func arg(index uint32) code { return load(offArgs + 8*index) }

// branch tests A: then if it holds, otherwise if not.
func branch(op uint16, k uint32, then, otherwise code) code {
	// The test skips over then when it fails; a skip is a byte, so a long one needs a jump of its own.
	if len(then) <= 255 {
		return join(code{{Code: op, K: k, JF: uint8(len(then))}}, then, otherwise)
	}
	return join(code{{Code: op, K: k, JT: 1}, {Code: opJump, K: uint32(len(then))}}, then, otherwise)
}

// in tests A for equality with any of the values.
func in(values []uint32, then, otherwise code) code {
	for _, value := range values {
		otherwise = branch(opJEQ, value, then, otherwise)
	}
	return otherwise
}

func join(blocks ...code) code {
	var all code
	for _, block := range blocks {
		all = append(all, block...)
	}
	return all
}

// span is a run of call numbers, from first up to the next span's, that get the same treatment.
type span struct {
	first uint32
	body  code
}

// search finds the span of the number in A by halving.
func search(spans []span) code {
	if len(spans) == 1 {
		return spans[0].body
	}
	middle := len(spans) / 2
	return branch(opJGE, spans[middle].first, search(spans[middle:]), search(spans[:middle]))
}

// Bytes is the program as the kernel takes it: an array of struct sock_filter.
func Bytes(program []Instruction) []byte {
	out := make([]byte, 0, 8*len(program))
	for _, i := range program {
		out = binary.LittleEndian.AppendUint16(out, i.Code)
		out = append(out, i.JT, i.JF)
		out = binary.LittleEndian.AppendUint32(out, i.K)
	}
	return out
}
