//go:build linux && (amd64 || arm64)

package seccomp

import "testing"

// data is struct seccomp_data of linux/seccomp.h.
type data struct {
	number, arch uint32
	args         [6]uint64
}

func (d *data) word(offset uint32) (uint32, bool) {
	switch {
	case offset == offNumber:
		return d.number, true
	case offset == offArch:
		return d.arch, true
	case offset >= offArgs && offset < offArgs+48 && offset%4 == 0:
		return uint32(d.args[(offset-offArgs)/8] >> (8 * (offset % 8))), true
	}
	return 0, false
}

// run is the kernel's classic BPF machine, as far as the filter uses it. It fails the test where the kernel's
// checker would refuse the program: unknown instructions, jumps behind the end, no return.
func run(t testing.TB, program []Instruction, d data) Action {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		jump := func(holds bool) {
			if holds {
				pc += int(i.JT)
			} else {
				pc += int(i.JF)
			}
		}
		switch i.Code {
		case opLoad:
			word, ok := d.word(i.K)
			if !ok {
				t.Fatalf("instruction %d loads from %d", pc, i.K)
			}
			a = word
		case opAnd:
			a &= i.K
		case opJump:
			pc += int(i.K)
		case opJEQ:
			jump(a == i.K)
		case opJGE:
			jump(a >= i.K)
		case opJSet:
			jump(a&i.K != 0)
		case opRet:
			return Action(i.K)
		default:
			t.Fatalf("instruction %d has code %#x", pc, i.Code)
		}
	}
	t.Fatal("the program runs off its end")
	return 0
}
