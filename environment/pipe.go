package environment

import (
	"bytes"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/internal/pollio"
	"hotaru/runtimeapi/telemetry"
	"hotaru/sandbox"
)

// maxLine bounds a line without an end: longer ones are cut into records, as CloudWatch Logs does at 256 KB.
const maxLine = 256 << 10

// pipeCapacity is Linux's default (pipe(7)).
const pipeCapacity = 64 << 10

// pipe is what processes of one kind, the runtime's or the extensions', print into.
type pipe struct {
	out      *output
	kind     telemetry.Type
	readEnd  *os.File
	writeEnd *os.File
	raw      syscall.RawConn
	done     chan struct{}

	// What follows is guarded by output.mu.
	partial []byte // the start of a line whose end has not been printed yet
	buffer  []byte
}

// newPipe opens a pipe.
func newPipe(out *output, kind telemetry.Type) (*pipe, error) {
	readEnd, writeEnd, err := sandbox.OutputPipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{
		out: out, kind: kind, done: make(chan struct{}), buffer: make([]byte, 16<<10), readEnd: readEnd, writeEnd: writeEnd,
	}
	raw, err := p.readEnd.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, p.readEnd.Close(), p.writeEnd.Close())
	}
	p.raw = raw
	go p.pump()
	return p, nil
}

// pump takes what is printed while nobody waits for it: between invocations and during long ones. It ends
// when the pipe is closed. The lock is given up between chunks, so that a flood cannot keep an answer waiting.
func (p *pipe) pump() {
	defer close(p.done)
	_ = p.raw.Read(func(fd uintptr) bool { // the only error is that the file was closed
		for {
			p.out.mu.Lock()
			n, err := p.readLocked(int(fd))
			p.out.mu.Unlock()
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false
			case err != nil || n == 0:
				return true
			}
		}
	})
}

// readLocked takes one buffer of printed bytes. It returns 0 at the end of the pipe.
func (p *pipe) readLocked(fd int) (int, error) {
	n, err := pollio.Read(fd, p.buffer)
	if err != nil {
		return 0, err
	}
	p.linesLocked(p.buffer[:n])
	return n, nil
}

// linesLocked cuts printed bytes into records: one per line.
func (p *pipe) linesLocked(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			p.partial = append(p.partial, b...)
			if len(p.partial) >= maxLine {
				p.endLineLocked()
			}
			return
		}
		if len(p.partial) > 0 {
			p.partial = append(p.partial, b[:end]...)
			p.out.lineLocked(p.kind, p.partial)
			p.partial = p.partial[:0]
		} else {
			p.out.lineLocked(p.kind, b[:end])
		}
		b = b[end:]
	}
}

// endLineLocked makes a record of a line that has no end.
func (p *pipe) endLineLocked() {
	if len(p.partial) > 0 {
		p.out.lineLocked(p.kind, append(p.partial, '\n'))
		p.partial = p.partial[:0]
	}
}

// takePrintedLocked reads what is in the pipe now, which is at most its capacity: what a flood adds
// meanwhile is the pump's.
func (p *pipe) takePrintedLocked() {
	_ = p.raw.Control(func(fd uintptr) { // a closed pipe has nothing to take
		for taken := 0; taken < pipeCapacity; {
			n, err := p.readLocked(int(fd))
			taken += n
			if err != nil || n < len(p.buffer) {
				return
			}
		}
	})
}

// close ends the pump. Safe to call twice.
func (p *pipe) close() {
	_ = p.writeEnd.Close() // a second close is refused, which is fine
	_ = p.readEnd.Close()
	<-p.done
}
