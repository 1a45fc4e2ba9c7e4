package runtimeapi_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// stream is a connection whose other end says what the fuzzer wrote, and no more.
type stream struct{ io.Reader }

func (stream) Write(p []byte) (int, error)      { return len(p), nil }
func (stream) Close() error                     { return nil }
func (stream) LocalAddr() net.Addr              { return nil }
func (stream) RemoteAddr() net.Addr             { return nil }
func (stream) SetDeadline(time.Time) error      { return nil }
func (stream) SetReadDeadline(time.Time) error  { return nil }
func (stream) SetWriteDeadline(time.Time) error { return nil }

// FuzzFrames lets a runtime say anything: the session must end in an answer or in ErrRuntimeGone, and no record
// or answer may be longer than its limit.
func FuzzFrames(f *testing.F) {
	answer := rt.Answer(rt.Response, 1, "application/json", []byte("{}"))
	for _, seed := range [][]byte{
		nil,
		rt.ReadyFrame(),
		bytes.Join([][]byte{rt.ReadyFrame(), answer, rt.ReadyFrame()}, nil),
		bytes.Join([][]byte{rt.Frame(rt.Log, []byte("x")), rt.ReadyFrame(), rt.Answer(rt.Error, 1, "E", []byte("{}")), rt.ReadyFrame()}, nil),
		rt.Answer(rt.InitError, 0, "E", []byte("{}")),
		{0xff, 0xff, 0xff, 0xff, rt.Response, 0, 0, 0, 1, 0},
		{0, 4, 0, 1, rt.Log},
		bytes.Join([][]byte{rt.ReadyFrame(), rt.Answer(rt.Stream, 1, "text/plain", []byte("a")), rt.Frame(rt.Chunk, []byte("b")),
			rt.Frame(rt.End, nil), rt.ReadyFrame(), rt.Answer(rt.Stream, 2, "", nil), rt.Answer(rt.Error, 2, "E", nil)}, nil),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		sink := onRecord(func(record []byte) {
			if len(record) > runtimeapi.MaxLogRecord {
				t.Errorf("a record of %d bytes", len(record))
			}
		})
		session := runtimeapi.NewFrames(stream{bytes.NewReader(said)}, sink)
		defer session.Close()
		err := session.Init(t.Context(), start)
		for range 4 {
			var fault *runtimeapi.FunctionError
			if err != nil && !errors.As(err, &fault) && !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Fatalf("%v is neither a function error nor ErrRuntimeGone", err)
			}
			var response *runtimeapi.Response
			response, err = session.Invoke(t.Context(), &runtimeapi.Event{Payload: []byte("1")})
			if err == nil {
				err = response.Gather()
			}
			if response != nil && len(response.Payload) > runtimeapi.MaxPayload {
				t.Fatalf("a response of %d bytes", len(response.Payload))
			}
		}
	})
}
