package environment

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/function"
)

// Log takes the records of one log stream, in order. Append keeps no reference to the record and does not
// block for long.
type Log interface {
	Append(at time.Time, record []byte)
}

// maxLine bounds a line without an end: longer ones are cut into records, as CloudWatch Logs does at 256 KB.
const maxLine = 256 << 10

// pipeCapacity is Linux's default (pipe(7)).
const pipeCapacity = 64 << 10

// output gathers everything an environment writes to its log: what its processes print through a pipe, the
// records that a runtime frames itself, and the platform's own lines.
type output struct {
	sink     Log
	readEnd  *os.File
	writeEnd *os.File
	raw      syscall.RawConn
	done     chan struct{}

	mu      sync.Mutex // guards what follows and the order of records
	partial []byte     // the start of a line whose end has not been printed yet
	buffer  []byte
	tailing bool
	tail    []byte
}

// newOutput opens the pipe. The write end is in blocking mode, because that mode belongs to the open file and
// so to every process that prints into it.
func newOutput() (*output, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	o := &output{
		sink: nowhere{}, done: make(chan struct{}), buffer: make([]byte, 16<<10),
		readEnd: os.NewFile(uintptr(fds[0]), "log pipe"), writeEnd: os.NewFile(uintptr(fds[1]), "log pipe"),
	}
	raw, err := o.readEnd.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, o.readEnd.Close(), o.writeEnd.Close())
	}
	o.raw = raw
	go o.pump()
	return o, nil
}

// nowhere is the log of a blank, which has nothing to say.
type nowhere struct{}

func (nowhere) Append(time.Time, []byte) {}

// setSink says which log stream this is.
func (o *output) setSink(sink Log) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink = sink
}

// pump takes what is printed while nobody waits for it: between invocations and during long ones. It ends
// when the pipe is closed. The lock is given up between chunks, so that a flood cannot keep an answer waiting.
func (o *output) pump() {
	defer close(o.done)
	_ = o.raw.Read(func(fd uintptr) bool { // the only error is that the file was closed
		for {
			o.mu.Lock()
			n, err := o.readLocked(int(fd))
			o.mu.Unlock()
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
func (o *output) readLocked(fd int) (int, error) {
	for {
		n, err := unix.Read(fd, o.buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		o.linesLocked(o.buffer[:n])
		return n, nil
	}
}

// linesLocked cuts printed bytes into records: one per line.
func (o *output) linesLocked(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			o.partial = append(o.partial, b...)
			if len(o.partial) >= maxLine {
				o.endLineLocked()
			}
			return
		}
		if len(o.partial) > 0 {
			o.partial = append(o.partial, b[:end]...)
			o.recordLocked(o.partial)
			o.partial = o.partial[:0]
		} else {
			o.recordLocked(b[:end])
		}
		b = b[end:]
	}
}

// endLineLocked makes a record of a line that has no end.
func (o *output) endLineLocked() {
	if len(o.partial) > 0 {
		o.recordLocked(append(o.partial, '\n'))
		o.partial = o.partial[:0]
	}
}

func (o *output) recordLocked(record []byte) {
	o.sink.Append(time.Now(), record)
	if o.tailing {
		o.tail = append(o.tail, record...)
		if len(o.tail) > 4*function.MaxLogTailBytes {
			o.tail = append(o.tail[:0], o.tail[len(o.tail)-function.MaxLogTailBytes:]...)
		}
	}
}

// begin starts an invocation's log.
func (o *output) begin(tail bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tailing, o.tail = tail, nil
}

// end returns the end of the invocation's log.
func (o *output) end() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	tail := o.tail
	o.tailing, o.tail = false, nil
	if len(tail) > function.MaxLogTailBytes {
		tail = tail[len(tail)-function.MaxLogTailBytes:]
	}
	return tail
}

// flush takes what has been printed so far: everything written before the answer is in the log before END.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takePrintedLocked()
	o.endLineLocked()
}

// takePrintedLocked reads what is in the pipe now, which is at most its capacity: what a flood adds
// meanwhile is the pump's.
func (o *output) takePrintedLocked() {
	_ = o.raw.Control(func(fd uintptr) { // a closed pipe has nothing to take
		for taken := 0; taken < pipeCapacity; {
			n, err := o.readLocked(int(fd))
			taken += n
			if err != nil || n < len(o.buffer) {
				return
			}
		}
	})
}

// log writes one record of the platform's; nil writes nothing.
func (o *output) log(record []byte) {
	if record == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recordLocked(record)
}

// Log writes one record that the runtime framed, after what was printed before it.
func (o *output) Log(record []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takePrintedLocked()
	o.recordLocked(record)
}

// close ends the pump. Safe to call twice.
func (o *output) close() {
	o.flush()
	_ = o.writeEnd.Close() // a second close is refused, which is fine
	_ = o.readEnd.Close()
	<-o.done
}
