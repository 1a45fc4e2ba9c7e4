package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// soloWrite is the largest event that is written before anything is read. A runtime may be blocked writing
// log records while we write to it: what is larger than a socket's buffer has to be written and read at once,
// or both sides wait for ever.
const soloWrite = 64 * 1024

// NewFrames returns the Session of a bootstrap of ours at the other end of conn, a stream socket (see Pair).
// Its log records go to logs, whenever Init, Invoke or Ready is there to read them. The caller's own goroutine reads
// and writes; the session owns conn and closes it in Close.
func NewFrames(conn net.Conn, logs LogSink) Session {
	return &frames{conn: conn, logs: logs, reader: newFrameReader(conn)}
}

// frames is a Session over a stream of frames.
type frames struct {
	conn   net.Conn
	logs   LogSink
	reader *frameReader

	head   []byte // the reused head of an Event frame
	number uint32 // of the last event
	ready  bool   // Init has succeeded
	// stop ends the turn of an event that has been answered; nil once the runtime is ready.
	stop func() bool
	// stream is the answer that the runtime is sending; nil once it is complete.
	stream *frameBody

	mu     sync.Mutex // guards the fields below
	turn   uint64     // counts Inits and events, so that a late cancellation hits no later one
	broken error
}

func (f *frames) Init(ctx context.Context, start Start) error {
	if f.ready {
		return errors.New("runtimeapi: Init twice")
	}
	frame, err := encodeStart(start)
	if err != nil {
		return err
	}
	stop, err := f.begin(ctx)
	if err != nil {
		return err
	}
	fault, err := f.init(frame)
	stop()
	if err = f.finish(err); err != nil {
		return err
	}
	if fault != nil {
		return fault
	}
	f.ready = true
	return nil
}

// init sends Start and reads up to the Ready or the InitError that answers it.
func (f *frames) init(start []byte) (fault *FunctionError, err error) {
	written, err := f.write(start, nil)
	if err != nil {
		return nil, err
	}
	defer func() { f.await(written, err) }()
	typ, length, err := f.nextFrame()
	switch {
	case err != nil:
		return nil, err
	case typ == frameReady:
		return nil, nil
	case typ != frameInitError:
		return nil, protocolError("an answer during Init")
	}
	a, err := f.reader.answer(length)
	if err != nil {
		return nil, err
	}
	fault = a.asError()
	fault.Init = true
	return fault, nil
}

func (f *frames) Invoke(ctx context.Context, event *Event) (*Response, error) {
	if len(event.Payload) > MaxPayload {
		return nil, fmt.Errorf("runtimeapi: an event of %d bytes, more than %d", len(event.Payload), MaxPayload)
	}
	if !f.ready {
		return nil, fmt.Errorf("runtimeapi: Invoke without a successful Init: %w", ErrRuntimeGone)
	}
	if err := f.Ready(); err != nil {
		return nil, gone(err)
	}
	stop, err := f.begin(ctx)
	if err != nil {
		return nil, err
	}
	response, fault, err := f.invoke(event)
	if err != nil {
		stop()
		return nil, f.finish(err)
	}
	f.stop = stop
	if fault != nil {
		return nil, fault
	}
	return response, nil
}

// invoke hands over the event and reads its answer.
func (f *frames) invoke(event *Event) (response *Response, fault *FunctionError, err error) {
	f.number++
	f.head = appendEvent(f.head[:0], event, f.number)
	written, err := f.write(f.head, event.Payload)
	if err != nil {
		return nil, nil, err
	}
	defer func() { f.await(written, err) }()
	typ, length, err := f.nextFrame()
	switch {
	case err != nil:
		return nil, nil, err
	case typ == frameReady:
		return nil, nil, protocolError("Ready before an answer")
	case typ == frameStream:
		response, err = f.openStream(length)
		return response, nil, err
	case typ != frameResponse && typ != frameError:
		return nil, nil, protocolError("an answer out of turn")
	}
	a, err := f.reader.answer(length)
	switch {
	case err != nil:
		return nil, nil, err
	case a.number != f.number:
		return nil, nil, protocolError("an answer to another event")
	case typ == frameError || a.tooLarge:
		return nil, a.asError(), nil
	default:
		return &Response{ContentType: a.tag, Payload: a.payload, Ready: f.reader.holdsReady()}, nil, nil
	}
}

func (f *frames) Ready() error {
	if f.stream != nil { // what nobody has read yet is between here and there
		_, err := io.Copy(io.Discard, f.stream)
		if fault := (*FunctionError)(nil); err != nil && !errors.As(err, &fault) {
			return err
		}
	}
	if f.stop == nil {
		return nil
	}
	typ, _, err := f.nextFrame()
	if err == nil && typ != frameReady {
		err = protocolError("an answer out of turn")
	}
	f.stop()
	f.stop = nil
	return f.finish(err)
}

// nextFrame returns the next frame that is no log record.
func (f *frames) nextFrame() (frameType, int, error) {
	for {
		typ, length, err := f.reader.next()
		if err != nil || typ != frameLog {
			return typ, length, err
		}
		record, err := f.reader.body(length)
		if err != nil {
			return 0, 0, err
		}
		f.logs.Log(record)
	}
}

// write writes head and payload with one system call where they fit. What is large it writes beside the
// reading; then written is not nil, and await waits for it.
func (f *frames) write(head, payload []byte) (written chan struct{}, err error) {
	if len(head)+len(payload) <= soloWrite {
		return nil, f.writeOut(head, payload)
	}
	written = make(chan struct{})
	go func() {
		defer close(written)
		// A failure shows on the reading side too: the peer is gone, or stuck until the context ends.
		_ = f.writeOut(head, payload)
	}()
	return written, nil
}

func (f *frames) writeOut(head, payload []byte) error {
	var err error
	if conn, ok := f.conn.(*Conn); ok {
		_, err = conn.WriteBoth(head, payload)
	} else {
		_, err = (&net.Buffers{head, payload}).WriteTo(f.conn)
	}
	return err
}

// await waits until a large write has ended, and ends it if the reading has failed.
func (f *frames) await(written chan struct{}, failed error) {
	if written == nil {
		return
	}
	if failed != nil {
		_ = f.conn.SetWriteDeadline(longAgo) // fails only on a closed connection
	}
	<-written
}

// longAgo is a deadline that ends reads and writes at once.
var longAgo = time.Unix(1, 0)

// begin starts a turn: from here ctx's end breaks the session, until stop.
func (f *frames) begin(ctx context.Context) (stop func() bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return nil, f.broken
	}
	f.turn++
	if ctx.Done() == nil {
		return func() bool { return true }, nil
	}
	turn := f.turn
	return context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.turn == turn && f.broken == nil {
			f.broken = context.Cause(ctx)
			_ = f.conn.SetDeadline(longAgo)
		}
	}), nil
}

// finish ends a turn and says why it failed, the context's reason before the connection's. A failure breaks
// the session.
func (f *frames) finish(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	cause := f.broken // the context's end, or Close
	if cause == nil {
		if err == nil {
			return nil
		}
		cause = gone(err)
	}
	f.broken = gone(cause)
	return cause
}

func (f *frames) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = ErrRuntimeGone
	}
	if err := f.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("runtimeapi: close: %w", err)
	}
	return nil
}

func (a answer) asError() *FunctionError {
	if a.tooLarge {
		return ResponseTooLarge(MaxPayload)
	}
	return &FunctionError{Type: a.tag, Payload: a.payload}
}

// gone makes an error an ErrRuntimeGone with its reason, if that says more.
func gone(err error) error {
	if errors.Is(err, ErrRuntimeGone) {
		return err
	}
	for _, plain := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, plain) {
			return ErrRuntimeGone
		}
	}
	return fmt.Errorf("%w: %w", ErrRuntimeGone, err)
}
