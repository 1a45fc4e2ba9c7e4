package server

import (
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

// writeEvents sends each frame as soon as it is there.
func (x *exchange) writeEvents(a *protocol.Answer) {
	control := http.NewResponseController(x.w)
	if control.Flush() != nil {
		return
	}
	for frame := range a.Events {
		n, err := x.w.Write(frame)
		x.entry.Sent += int64(n)
		if err != nil || control.Flush() != nil {
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
