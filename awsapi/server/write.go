package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"hotaru/awsapi/protocol"
)

const reflectInterface = reflect.Interface

// write sends the answer. Errors of the connection end it: there is nobody left to tell.
func (x *exchange) write(a *protocol.Answer) {
	header := x.w.Header()
	for name, values := range a.Header {
		header[name] = values
	}
	header["X-Amzn-Requestid"] = []string{x.call.RequestID}
	if x.call.AnswerTraceID != "" {
		header["X-Amzn-Trace-Id"] = []string{x.call.AnswerTraceID}
	}
	x.entry.Status = a.Status
	switch {
	case a.Events != nil:
		x.w.WriteHeader(a.Status)
		x.writeEvents(a)
	case a.Reader != nil:
		x.w.WriteHeader(a.Status)
		x.writeStream(a.Reader)
	default:
		if a.Status != http.StatusNoContent && a.Status >= 200 {
			header["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
		}
		x.w.WriteHeader(a.Status)
		if len(a.Body) > 0 {
			n, _ := x.w.Write(a.Body)
			x.entry.Sent = int64(n)
		}
	}
}

// writeEvents sends each frame as soon as it is there. A panic of whoever makes the events cuts the connection, as an
// error of a stream does; only http.ErrAbortHandler panics on, as it must.
func (x *exchange) writeEvents(a *protocol.Answer) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			x.entry.Err, x.cut = fmt.Errorf("%s panicked: %v\n%s", x.op.Name, p, stack()), true
		}
	}()
	control := http.NewResponseController(x.w)
	flush := func() bool {
		err := control.Flush()
		return err == nil || errors.Is(err, http.ErrNotSupported)
	}
	if !flush() {
		return
	}
	for frame, cause := range a.Events {
		x.entry.Err = cause
		n, err := x.w.Write(frame)
		x.entry.Sent += int64(n)
		if err != nil || !flush() {
			return
		}
	}
}

func (x *exchange) writeStream(r io.Reader) {
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	n, err := io.Copy(x.w, r)
	x.entry.Sent = n
	if err != nil {
		x.entry.Err, x.cut = err, true
	}
}
