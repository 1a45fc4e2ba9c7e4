package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Schema is a version of what subscribers get. The zero value is none.
type Schema int

// The schemas, oldest first: two of the Logs API, three of the Telemetry API.
const (
	Logs20200815 Schema = iota + 1
	Logs20210318
	Telemetry20220701
	Telemetry20221213
	Telemetry20250129
)

// schemaNames are the schemas as subscribers name them.
var schemaNames = [...]string{
	Logs20200815: "2020-08-15", Logs20210318: "2021-03-18",
	Telemetry20220701: "2022-07-01", Telemetry20221213: "2022-12-13", Telemetry20250129: "2025-01-29",
}

// String is the version's date.
func (s Schema) String() string { return schemaNames[s] }

// logs says that it is one of the Logs API.
func (s Schema) logs() bool { return s <= Logs20210318 }

// full says that it has what came with 2022-12-13: error types, the function in initStart, records of restoring.
func (s Schema) full() bool { return s >= Telemetry20221213 }

func (r InitStart) in(s Schema) (string, any) {
	if s.logs() {
		return "", nil
	}
	if !s.full() {
		r.FunctionName, r.FunctionVersion, r.InstanceID, r.InstanceMaxMemory = "", "", "", 0
	}
	return "platform.initStart", r
}

func (r InitRuntimeDone) in(s Schema) (string, any) {
	if s.logs() {
		return "", nil
	}
	if !s.full() {
		r.ErrorType = ""
	}
	return "platform.initRuntimeDone", r
}

func (r InitReport) in(s Schema) (string, any) {
	if s.logs() {
		return "", nil
	}
	if !s.full() {
		r.Status, r.ErrorType = "", ""
	}
	return "platform.initReport", r
}

func (r Start) in(s Schema) (string, any) {
	if s.logs() {
		r.Tracing, r.TenantID = nil, ""
	}
	return "platform.start", r
}

func (r RuntimeDone) in(s Schema) (string, any) {
	switch {
	case s == Logs20200815:
		return "", nil
	case s.logs():
		status := r.Status
		if status == Error {
			status = Failure // the Logs API has no other word
		}
		return "platform.runtimeDone", RuntimeDone{RequestID: r.RequestID, Status: status}
	case !s.full():
		r.ErrorType = ""
	}
	return "platform.runtimeDone", r
}

func (r Report) in(s Schema) (string, any) {
	switch {
	case s.logs():
		return "platform.report", Report{RequestID: r.RequestID, Metrics: r.Metrics}
	case !s.full():
		r.ErrorType = ""
	}
	return "platform.report", r
}

func (r RestoreStart) in(s Schema) (string, any) { return fullOnly(s, "platform.restoreStart", r) }
func (r RestoreRuntimeDone) in(s Schema) (string, any) {
	return fullOnly(s, "platform.restoreRuntimeDone", r)
}
func (r RestoreReport) in(s Schema) (string, any) { return fullOnly(s, "platform.restoreReport", r) }

func fullOnly(s Schema, kind string, body any) (string, any) {
	if !s.full() {
		return "", nil
	}
	return kind, body
}

func (r End) in(s Schema) (string, any)   { return logsOnly(s, "platform.end", r) }
func (r Fault) in(s Schema) (string, any) { return logsOnly(s, "platform.fault", r) }

func logsOnly(s Schema, kind string, body any) (string, any) {
	if !s.logs() {
		return "", nil
	}
	return kind, body
}

func (r Extension) in(Schema) (string, any) { return "platform.extension", r }

func (r Subscription) in(Schema) (string, any) {
	if r.Logs {
		return "platform.logsSubscription", r
	}
	return "platform.telemetrySubscription", r
}

func (r LogsDropped) in(Schema) (string, any) { return "platform.logsDropped", r }

// Encode is a record as JSON, without a line's end; nil where the schema has no such record.
func Encode(at time.Time, r Record, s Schema) []byte {
	kind, body := r.in(s)
	if kind == "" {
		return nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("telemetry: %s: %v", kind, err)) // structs of texts and numbers always marshal
	}
	return envelope(at, kind, text)
}

// encodeLine is a line that the function or an extension printed. structured says that a line which is a JSON object
// is one in the record too, as where the function's log format is JSON.
func encodeLine(at time.Time, kind Type, line []byte, structured bool) []byte {
	if object := bytes.TrimSpace(line); structured && len(object) > 0 && object[0] == '{' && utf8.Valid(object) && json.Valid(object) {
		return envelope(at, string(kind), object)
	}
	text, err := json.Marshal(string(line))
	if err != nil {
		panic(err) // a string always marshals
	}
	return envelope(at, string(kind), text)
}

func envelope(at time.Time, kind string, record []byte) []byte {
	out := make([]byte, 0, len(record)+len(kind)+64)
	out = append(out, `{"time":`...)
	out = at.UTC().AppendFormat(out, timeLayout)
	out = append(out, `,"type":"`...)
	out = append(out, kind...)
	out = append(out, `","record":`...)
	out = append(out, record...)
	return append(out, '}')
}
