package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"hotaru/environment"
	"hotaru/function"
	"hotaru/invoke"
)

// maxVersions bounds the versions that have series of their own, some forty each. What further ones do is counted
// together, under the function name "(other)".
const maxVersions = 5000

// functions are the metrics that Lambda has by function and version
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html). They have CloudWatch's names, and
// CloudWatch's dimensions as labels, in the form that exporters of CloudWatch give them.
type functions struct {
	invocations, errors, throttles, coldStarts, failures *prometheus.CounterVec
	concurrent                                           *prometheus.GaugeVec
	duration, initDuration, postRuntime                  *prometheus.HistogramVec
	known                                                func(function.ID, string) bool
	other                                                *counters

	mu       sync.RWMutex // guards what follows
	counters map[versionKey]*counters
}

// versionKey is what a version's labels are made of: updates of $LATEST go on with the same series.
type versionKey struct {
	id      function.ID
	version string
}

func (k versionKey) labels() [4]string {
	return [...]string{k.id.Account, k.id.Region, k.id.Name, k.version}
}

func newFunctions(r *prometheus.Registry, known func(function.ID, string) bool) *functions {
	labels := []string{"account_id", "region", "function_name", "executed_version"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	f := &functions{
		invocations: counter("aws_lambda_invocations_total", "Invocations: events that code was run for, those that failed too."),
		errors:      counter("aws_lambda_errors_total", "Errors: invocations that ended in a function error, timeouts too."),
		throttles:   counter("aws_lambda_throttles_total", "Throttles: events that were refused for the limit of concurrent executions."),
		coldStarts:  counter("hotaru_cold_starts_total", "Invocations that waited for Init."),
		failures:    counter("hotaru_platform_failures_total", "Events that Hotaru could not run, or not to their end."),
		concurrent: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aws_lambda_concurrent_executions", Help: "ConcurrentExecutions: events that are being processed now.",
		}, labels),
		duration: histogram("aws_lambda_duration_seconds", "Duration: what code took for an event, without Init.",
			.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900),
		initDuration: histogram("aws_lambda_init_duration_seconds", "What successful Init phases took.",
			.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		postRuntime: histogram("aws_lambda_post_runtime_extensions_duration_seconds",
			"PostRuntimeExtensionsDuration: what extensions took after the runtime was done.",
			.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900),
		known: known, counters: map[versionKey]*counters{},
	}
	r.MustRegister(f.invocations, f.errors, f.throttles, f.coldStarts, f.failures, f.concurrent, f.duration, f.initDuration, f.postRuntime)
	return f
}

// Of implements invoke.Meter.
func (m *Metrics) Of(v *function.Version) invoke.Counters {
	return m.functions.of(versionKey{v.ID, v.Version})
}

func (f *functions) of(key versionKey) *counters {
	f.mu.RLock()
	c := f.counters[key]
	f.mu.RUnlock()
	if c != nil {
		return c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.counters[key]; c != nil {
		return c
	}
	if len(f.counters) >= maxVersions {
		if f.other == nil {
			f.other = f.make(versionKey{function.ID{Name: "(other)"}, ""})
		}
		return f.other
	}
	c = f.make(key)
	f.counters[key] = c
	return c
}

func (f *functions) make(key versionKey) *counters {
	labels := key.labels()
	return &counters{
		invocations: f.invocations.WithLabelValues(labels[:]...), errors: f.errors.WithLabelValues(labels[:]...),
		throttles: f.throttles.WithLabelValues(labels[:]...), coldStarts: f.coldStarts.WithLabelValues(labels[:]...),
		failures: f.failures.WithLabelValues(labels[:]...), concurrent: f.concurrent.WithLabelValues(labels[:]...),
		duration: f.duration.WithLabelValues(labels[:]...), initDuration: f.initDuration.WithLabelValues(labels[:]...),
		postRuntime: f.postRuntime.WithLabelValues(labels[:]...),
	}
}

// forget drops the series of versions that are not there any more. It asks for them without the lock, which
// invocations take.
func (f *functions) forget() {
	if f.known == nil {
		return
	}
	f.mu.RLock()
	keys := slices.Collect(maps.Keys(f.counters))
	f.mu.RUnlock()
	keys = slices.DeleteFunc(keys, func(key versionKey) bool { return f.known(key.id, key.version) })
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		delete(f.counters, key)
		labels := key.labels()
		for _, vec := range []interface{ DeleteLabelValues(...string) bool }{
			f.invocations, f.errors, f.throttles, f.coldStarts, f.failures, f.concurrent, f.duration, f.initDuration, f.postRuntime,
		} {
			vec.DeleteLabelValues(labels[:]...)
		}
	}
}

// counters are one version's. They are found once for an invocation and cost no allocation.
type counters struct {
	invocations, errors, throttles, coldStarts, failures prometheus.Counter
	concurrent                                           prometheus.Gauge
	duration, initDuration, postRuntime                  prometheus.Observer
}

// Throttled implements invoke.Counters.
func (c *counters) Throttled() { c.throttles.Inc() }

// Began implements invoke.Counters.
func (c *counters) Began() { c.concurrent.Inc() }

// Ended implements invoke.Counters.
func (c *counters) Ended(o *environment.Outcome) {
	c.concurrent.Dec()
	if o == nil {
		c.failures.Inc()
		return
	}
	c.invocations.Inc()
	c.duration.Observe(o.Duration.Seconds())
	if o.FunctionError != "" {
		c.errors.Inc()
	}
	if o.Cold {
		c.coldStarts.Inc()
	}
	if o.InitDuration > 0 {
		c.initDuration.Observe(o.InitDuration.Seconds())
	}
	if o.PostRuntimeExtensionsDuration > 0 { // only where there are extensions
		c.postRuntime.Observe(o.PostRuntimeExtensionsDuration.Seconds())
	}
}
