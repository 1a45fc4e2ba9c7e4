// Package telemetry is what an execution environment tells its extensions: the records of Lambda's Telemetry API and of
// the older Logs API, who has subscribed to them, and the buffers and connections they are delivered through
// (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html). It must not know sandboxes, environments or how an
// extension is registered.
package telemetry

import "time"

// Record is something that the platform says. It is one of this file's types.
type Record interface {
	// in is the record as a schema has it: its type and its body, or no type where the schema has no such record.
	in(Schema) (kind string, body any)
}

// The values of InitStart.InitializationType.
const (
	OnDemand               = "on-demand"
	ProvisionedConcurrency = "provisioned-concurrency"
)

// The phases in which an environment initializes.
const (
	PhaseInit   = "init"
	PhaseInvoke = "invoke"
)

// Status says how something ended.
type Status string

// The values of Status. A Failure is the platform's, an Error the function's or an extension's.
const (
	Success Status = "success"
	Failure Status = "failure"
	Error   Status = "error"
	Timeout Status = "timeout"
)

// InitStart says that an Init begins.
type InitStart struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
	FunctionName       string `json:"functionName,omitempty"`
	FunctionVersion    string `json:"functionVersion,omitempty"`
	InstanceID         string `json:"instanceId,omitempty"`
	// InstanceMaxMemory is the function's memory in bytes.
	InstanceMaxMemory int64 `json:"instanceMaxMemory,omitempty"`
}

// InitRuntimeDone says that the runtime has initialized, or has failed to.
type InitRuntimeDone struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	Status             Status `json:"status"`
	ErrorType          string `json:"errorType,omitempty"`
	Spans              []Span `json:"spans,omitempty"`
}

// InitReport says that an Init, the extensions' included, is over.
type InitReport struct {
	InitializationType string            `json:"initializationType"`
	Metrics            InitReportMetrics `json:"metrics"`
	Phase              string            `json:"phase"`
	Status             Status            `json:"status,omitempty"`
	ErrorType          string            `json:"errorType,omitempty"`
	Spans              []Span            `json:"spans,omitempty"`
}

// InitReportMetrics is how long an Init took.
type InitReportMetrics struct {
	Duration Milliseconds `json:"durationMs"`
}

// Start says that an invocation begins.
type Start struct {
	RequestID string `json:"requestId"`
	Version   string `json:"version,omitempty"`
	// TenantID says whose event it is, where a function tells its tenants apart
	// (https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation-monitor.html).
	TenantID string   `json:"tenantId,omitempty"`
	Tracing  *Tracing `json:"tracing,omitempty"`
}

// RuntimeDone says that the runtime is done with an event.
type RuntimeDone struct {
	RequestID string              `json:"requestId"`
	Status    Status              `json:"status"`
	ErrorType string              `json:"errorType,omitempty"`
	Metrics   *RuntimeDoneMetrics `json:"metrics,omitempty"`
	Spans     []Span              `json:"spans,omitempty"`
	TenantID  string              `json:"tenantId,omitempty"`
	Tracing   *Tracing            `json:"tracing,omitempty"`
}

// RuntimeDoneMetrics is what the runtime took and made.
type RuntimeDoneMetrics struct {
	Duration Milliseconds `json:"durationMs"`
	// ProducedBytes is the length of the response.
	ProducedBytes int64 `json:"producedBytes"`
}

// Report says that an invocation, the extensions' part included, is over.
type Report struct {
	RequestID string        `json:"requestId"`
	Status    Status        `json:"status,omitempty"`
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   ReportMetrics `json:"metrics"`
	Spans     []Span        `json:"spans,omitempty"`
	TenantID  string        `json:"tenantId,omitempty"`
	Tracing   *Tracing      `json:"tracing,omitempty"`
}

// ReportMetrics is what an invocation took.
type ReportMetrics struct {
	Duration        Milliseconds `json:"durationMs"`
	BilledDuration  int64        `json:"billedDurationMs"`
	MemorySizeMB    int64        `json:"memorySizeMB"`
	MaxMemoryUsedMB int64        `json:"maxMemoryUsedMB"`
	InitDuration    Milliseconds `json:"initDurationMs,omitempty"`
	RestoreDuration Milliseconds `json:"restoreDurationMs,omitempty"`
}

// RestoreStart says that an environment begins to start from a snapshot.
type RestoreStart struct {
	RuntimeVersion    string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string `json:"runtimeVersionArn,omitempty"`
	FunctionName      string `json:"functionName"`
	FunctionVersion   string `json:"functionVersion"`
	InstanceID        string `json:"instanceId,omitempty"`
	InstanceMaxMemory int64  `json:"instanceMaxMemory,omitempty"`
}

// RestoreRuntimeDone says that the runtime has run its hooks after that.
type RestoreRuntimeDone struct {
	Status    Status `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
	Spans     []Span `json:"spans,omitempty"`
}

// RestoreReport says that the start from a snapshot is over.
type RestoreReport struct {
	Status    Status            `json:"status"`
	ErrorType string            `json:"errorType,omitempty"`
	Metrics   InitReportMetrics `json:"metrics"`
	Spans     []Span            `json:"spans,omitempty"`
}

// End says that an invocation is over, without figures: the Logs API's alone.
type End struct {
	RequestID string `json:"requestId"`
}

// Fault is an error of the runtime or the environment in a line of text: the Logs API's alone.
type Fault string

// Extension says what became of an extension in Init.
type Extension struct {
	Events    []string `json:"events"`
	Name      string   `json:"name"`
	State     string   `json:"state"`
	ErrorType string   `json:"errorType,omitempty"`
}

// Subscription says that an extension has subscribed.
type Subscription struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`
	// Logs says that it was to the Logs API.
	Logs bool `json:"-"`
}

// LogsDropped says what a subscriber was not given, because it had not taken what came before.
type LogsDropped struct {
	DroppedBytes   int64  `json:"droppedBytes"`
	DroppedRecords int64  `json:"droppedRecords"`
	Reason         string `json:"reason"`
}

// Span is a part of the time that a record is about: responseLatency, responseDuration, runtimeOverhead of
// RuntimeDone, extensionOverhead of Report.
type Span struct {
	Duration Milliseconds `json:"durationMs"`
	Name     string       `json:"name"`
	Start    Time         `json:"start"`
}

// Tracing is an invocation's trace.
type Tracing struct {
	SpanID string `json:"spanId,omitempty"`
	// Type is "X-Amzn-Trace-Id" and Value that header's.
	Type  string `json:"type"`
	Value string `json:"value"`
}

// TracingOf is the trace of a header; nil if there is none.
func TracingOf(header string) *Tracing {
	if header == "" {
		return nil
	}
	return &Tracing{Type: "X-Amzn-Trace-Id", Value: header}
}

// Milliseconds is a duration in milliseconds with three decimals.
type Milliseconds float64

// In is a duration as records have it.
func In(d time.Duration) Milliseconds {
	return Milliseconds(d.Round(time.Microsecond).Microseconds()) / 1000
}

// Time is a point of time as records have it: in UTC, with milliseconds.
type Time time.Time

const timeLayout = `"2006-01-02T15:04:05.000Z"`

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, timeLayout), nil
}
