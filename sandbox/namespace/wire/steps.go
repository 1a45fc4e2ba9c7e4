package wire

import "math"

// Step is one system call that a process makes on its way into a sandbox. A list of them says what a process gives up,
// whoever runs it: stage-1 in front of a program, or a template's copy, which is no Go. A step that fails with an errno that
// it does not tolerate is the end of the process.
type Step struct {
	Name     string // for a person
	Call     uint32 // this architecture's number
	Args     []Arg  // six at most; those that are not there are 0
	Tolerate []uint32
}

// ArgKind says what an argument is.
type ArgKind byte

// The kinds of arguments.
const (
	ArgNumber     ArgKind = iota // Number itself
	ArgDescriptor                // the descriptor at the index Number of those that came with the message
	ArgData                      // the address of Data
	ArgProgram                   // the address of a struct sock_fprog of Data, eight bytes each
)

// Arg is an argument of a Step.
type Arg struct {
	Kind   ArgKind
	Number uint64
	Data   string
}

// Number is an argument that is itself.
func Number(n uint64) Arg { return Arg{Kind: ArgNumber, Number: n} }

// Descriptor is the descriptor at an index.
func Descriptor(index int) Arg { return Arg{Kind: ArgDescriptor, Number: uint64(index)} }

// Data is the address of bytes.
func Data(bytes []byte) Arg { return Arg{Kind: ArgData, Data: string(bytes)} }

// Program is the address of a struct sock_fprog.
func Program(instructions []byte) Arg { return Arg{Kind: ArgProgram, Data: string(instructions)} }

const (
	maxSteps = 256
	maxArgs  = 6
	maxErrno = 4095
)

// EncodeSteps makes of steps what Setup carries.
func EncodeSteps(steps []Step) string {
	var e encoder
	e.steps(steps)
	return string(e.buf)
}

// DecodeSteps reads what EncodeSteps made.
func DecodeSteps(encoded string) ([]Step, error) {
	d := &decoder{buf: []byte(encoded)}
	steps := d.steps()
	return steps, d.end()
}

func (e *encoder) steps(steps []Step) {
	e.uint(uint64(len(steps)))
	for i := range steps {
		s := &steps[i]
		e.string(s.Name)
		e.uint(uint64(s.Call))
		e.uint(uint64(len(s.Args)))
		for _, arg := range s.Args {
			e.buf = append(e.buf, byte(arg.Kind))
			if arg.Kind == ArgNumber || arg.Kind == ArgDescriptor {
				e.uint(arg.Number)
			} else {
				e.string(arg.Data)
			}
		}
		e.uint(uint64(len(s.Tolerate)))
		for _, errno := range s.Tolerate {
			e.uint(uint64(errno))
		}
	}
}

func (d *decoder) steps() []Step {
	n := d.uint(maxSteps)
	if n > uint64(len(d.buf)) {
		d.fail(ErrShort)
		return nil
	}
	var steps []Step
	for range n {
		s := Step{Name: d.string(), Call: uint32(d.uint(math.MaxInt32))}
		for range d.uint(maxArgs) {
			s.Args = append(s.Args, d.arg())
		}
		for range d.uint(maxArgs) {
			s.Tolerate = append(s.Tolerate, uint32(d.uint(maxErrno)))
		}
		if d.err != nil {
			return nil
		}
		steps = append(steps, s)
	}
	return steps
}

func (d *decoder) arg() Arg {
	arg := Arg{Kind: ArgKind(d.byte())}
	switch arg.Kind {
	case ArgNumber:
		arg.Number = d.uint(math.MaxUint64)
	case ArgDescriptor:
		arg.Number = d.uint(MaxFDs)
	case ArgData, ArgProgram:
		arg.Data = d.string()
		if arg.Kind == ArgProgram && (len(arg.Data) == 0 || len(arg.Data)%8 != 0 || len(arg.Data)/8 > maxInstructions) {
			d.fail(ErrLength)
		}
	default:
		d.fail(ErrNumber)
	}
	return arg
}

// maxInstructions is BPF_MAXINSNS of linux/bpf_common.h.
const maxInstructions = 4096
