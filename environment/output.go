package environment

import (
	"os"
	"sync"
	"time"

	"hotaru/function"
	"hotaru/runtimeapi/telemetry"
)

// Log takes the records of one log stream, in order. Append keeps no reference to the record and does not
// block for long.
type Log interface {
	Append(at time.Time, record []byte)
}

// output gathers everything an environment writes to its log: what its processes print through pipes, the
// records that a runtime frames itself, and the platform's own lines. Whoever has subscribed gets the same.
type output struct {
	runtime *pipe

	mu   sync.Mutex // guards what follows and the order of records; taken before the hub's
	sink Log
	// logging says in which form the platform's own records are written.
	logging function.Logging
	// hub is nil before the first Init and after a reset.
	hub *telemetry.Hub
	// extensions is nil until the first extension is started.
	extensions *pipe
	tailing    bool
	tail       []byte
}

func newOutput() (*output, error) {
	o := &output{sink: nowhere{}}
	var err error
	o.runtime, err = newPipe(o, telemetry.TypeFunction)
	return o, err
}

// nowhere is the log of a blank, which has nothing to say.
type nowhere struct{}

func (nowhere) Append(time.Time, []byte) {}

// setSink says which log stream this is, and in which form the platform writes to it.
func (o *output) setSink(sink Log, logging function.Logging) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink, o.logging = sink, logging
}

// setHub says who passes records on; nil is nobody.
func (o *output) setHub(hub *telemetry.Hub) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hub = hub
}

// forExtensions is what extensions print into.
func (o *output) forExtensions() (*os.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.extensions == nil {
		var err error
		if o.extensions, err = newPipe(o, telemetry.TypeExtension); err != nil {
			return nil, err
		}
	}
	return o.extensions.writeEnd, nil
}

// lineLocked takes a line that was printed.
func (o *output) lineLocked(kind telemetry.Type, line []byte) {
	now := time.Now()
	o.recordLocked(now, line)
	if o.hub != nil {
		o.hub.Log(now, kind, line)
	}
}

func (o *output) recordLocked(at time.Time, record []byte) {
	o.sink.Append(at, record)
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

// flush takes what has been printed so far, and ends its lines: everything written before the answer is in the log
// before END.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takePrintedLocked()
	for _, p := range [...]*pipe{o.runtime, o.extensions} {
		if p != nil {
			p.endLineLocked()
		}
	}
}

// takePrinted takes the lines that have been printed so far: they come before what is said next.
func (o *output) takePrinted() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.takePrintedLocked()
}

func (o *output) takePrintedLocked() {
	for _, p := range [...]*pipe{o.runtime, o.extensions} {
		if p != nil {
			p.takePrintedLocked()
		}
	}
}

// say writes a line of the platform's, nil for none, to a log that is text; and record, nil for none, to one that is
// JSON, if the function wants that much detail, and to who has subscribed.
func (o *output) say(at time.Time, line []byte, record telemetry.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.logging.Format != function.JSONLogs:
		if line != nil {
			o.recordLocked(at, line)
		}
	case record != nil && telemetry.LevelOf(record) >= telemetry.ParseLevel(o.logging.SystemLevel):
		if text := telemetry.Encode(at, record, telemetry.Telemetry20250129); text != nil {
			o.recordLocked(at, append(text, '\n'))
		}
	}
	if record != nil && o.hub != nil {
		o.hub.Emit(at, record)
	}
}

// wants says whether anybody gets records: they need not be made otherwise.
func (o *output) wants() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.logging.Format == function.JSONLogs || o.hub != nil && o.hub.Active()
}

// Log writes one record that the runtime framed, after what was printed before it.
func (o *output) Log(record []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runtime.takePrintedLocked()
	o.lineLocked(telemetry.TypeFunction, record)
}

// close ends the pumps. Safe to call twice.
func (o *output) close() {
	o.flush()
	o.mu.Lock()
	extensions := o.extensions
	o.mu.Unlock()
	o.runtime.close()
	if extensions != nil {
		extensions.close()
	}
}
