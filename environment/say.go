package environment

import (
	"fmt"
	"strings"
	"time"

	"hotaru/function"
	"hotaru/runtimeapi/telemetry"
)

// sayNow tells the log, and who has subscribed, what has just happened: see output.say.
func (e *Environment) sayNow(line []byte, record telemetry.Record) {
	e.out.say(time.Now(), line, record)
}

func (e *Environment) sayInitStart(phase string) {
	cfg := &e.cfg
	v := cfg.Version
	arn := function.RuntimeVersionARN(v.ID.Partition, v.ID.Region, cfg.Program.VersionID)
	var line []byte
	if phase == telemetry.PhaseInit {
		line = fmt.Appendf(nil, "INIT_START Runtime Version: %s\tRuntime Version ARN: %s\n", cfg.Program.Description, arn)
	}
	e.sayNow(line, telemetry.InitStart{
		InitializationType: telemetry.OnDemand, Phase: phase,
		RuntimeVersion: cfg.Program.Description, RuntimeVersionARN: arn,
		FunctionName: v.ID.Name, FunctionVersion: v.Version,
		InstanceID: e.blank.ID, InstanceMaxMemory: int64(v.MemoryMB) << 20,
	})
}

// sayInitEnd tells how an Init went, in the order that Lambda has: the runtime, the extensions, the whole.
func (e *Environment) sayInitEnd(phase string, took time.Duration, fail *failure) {
	status, kind := statusOf(fail)
	var line []byte
	if fail != nil {
		if text := fail.record("", time.Now()); text != nil {
			e.sayNow(text, nil)
		}
		line = fmt.Appendf(nil, "INIT_REPORT Init Duration: %s ms\tPhase: %s\t%s\n", milliseconds(took), phase, fail.status())
	}
	e.sayNow(nil, telemetry.InitRuntimeDone{InitializationType: telemetry.OnDemand, Phase: phase, Status: status, ErrorType: kind})
	if g := e.present(); g != nil {
		e.sayExtensions(g)
	}
	e.sayNow(line, telemetry.InitReport{
		InitializationType: telemetry.OnDemand, Phase: phase, Status: status, ErrorType: kind,
		Metrics: telemetry.InitReportMetrics{Duration: telemetry.In(took)},
	})
}

// statusOf is a failure as records have it. An error that the function itself reported is a success of the platform's.
func statusOf(fail *failure) (status telemetry.Status, kind string) {
	switch {
	case fail == nil || fail.body != nil && !fail.init:
		return telemetry.Success, ""
	case fail.timeout:
		return telemetry.Timeout, ""
	case strings.HasPrefix(fail.kind, "Sandbox."):
		return telemetry.Failure, fail.kind
	default:
		return telemetry.Error, fail.kind
	}
}

func (e *Environment) sayStart() {
	in := &e.turn.in
	var record telemetry.Record
	if e.turn.wanted {
		record = telemetry.Start{RequestID: in.RequestID, Version: e.cfg.Version.Version, TenantID: in.TenantID, Tracing: telemetry.TracingOf(in.TraceID)}
	}
	e.sayNow(startLine(in.RequestID, e.cfg.Version.Version), record)
}

// sayRuntimeDone tells that the runtime is done with the event, once.
func (e *Environment) sayRuntimeDone(fail *failure) {
	t := &e.turn
	if t.done || !t.wanted {
		return
	}
	t.done = true
	e.out.takePrinted() // what the function printed comes first
	now := time.Now()
	done := telemetry.RuntimeDone{RequestID: t.in.RequestID, TenantID: t.in.TenantID, Tracing: telemetry.TracingOf(t.in.TraceID)}
	done.Status, done.ErrorType = statusOf(fail)
	done.Metrics = &telemetry.RuntimeDoneMetrics{Duration: telemetry.In(now.Sub(t.began)), ProducedBytes: t.produced}
	if !t.answered.IsZero() && !t.broken {
		done.Spans = []telemetry.Span{
			{Name: "responseLatency", Start: telemetry.Time(t.began), Duration: telemetry.In(t.answered.Sub(t.began))},
			{Name: "responseDuration", Start: telemetry.Time(t.answered), Duration: telemetry.In(t.sent.Sub(t.answered))},
			{Name: "runtimeOverhead", Start: telemetry.Time(t.sent), Duration: telemetry.In(now.Sub(t.sent))},
		}
	}
	e.out.say(now, nil, done)
}

// sayEnd tells that the invocation is over.
func (e *Environment) sayEnd(outcome *Outcome, fail *failure) {
	t := &e.turn
	e.sayRuntimeDone(fail)
	status := ""
	if fail != nil {
		line := fail.record(t.in.RequestID, time.Now())
		var fault telemetry.Record
		if line != nil {
			fault = telemetry.Fault(strings.TrimSpace(string(line)))
		}
		e.sayNow(line, fault)
		if fail.body == nil || fail.init {
			status = fail.status()
		}
	}
	var end, report telemetry.Record
	if t.wanted {
		end, report = telemetry.End{RequestID: t.in.RequestID}, e.reportRecord(outcome, fail)
	}
	e.sayNow(endLine(t.in.RequestID), end)
	e.sayNow(reportLine(&t.in, e.cfg.Version, outcome, status), report)
}

func (e *Environment) reportRecord(o *Outcome, fail *failure) telemetry.Report {
	t := &e.turn
	r := telemetry.Report{
		RequestID: t.in.RequestID, TenantID: t.in.TenantID, Tracing: telemetry.TracingOf(t.in.TraceID),
		Metrics: telemetry.ReportMetrics{
			Duration: telemetry.In(o.Duration), BilledDuration: billed(o, e.cfg.Version.Timeout()), MemorySizeMB: int64(e.cfg.Version.MemoryMB),
			MaxMemoryUsedMB: o.MaxMemoryMB, InitDuration: telemetry.In(o.InitDuration),
		},
	}
	r.Status, r.ErrorType = statusOf(fail)
	if o.PostRuntimeExtensionsDuration > 0 {
		r.Spans = []telemetry.Span{{
			Name: "extensionOverhead", Start: telemetry.Time(t.ready), Duration: telemetry.In(o.PostRuntimeExtensionsDuration),
		}}
	}
	return r
}

// billed is an invocation's duration and Init's, rounded up to whole milliseconds. What it takes to notice that a
// function has used up its timeout is not billed.
func billed(o *Outcome, timeout time.Duration) int64 {
	return int64((min(o.Duration, timeout) + o.InitDuration + time.Millisecond - 1) / time.Millisecond)
}
