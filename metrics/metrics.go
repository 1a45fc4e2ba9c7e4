// Package metrics counts and times what Hotaru does, in Prometheus's form: Lambda's own metrics by function and version,
// and those of the machine beneath. It watches other rooms from outside: it wraps what they are given or asks them when
// somebody scrapes, and none of them knows it. It must not decide anything, nor say who may read.
package metrics

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hotaru/function"
)

// maxScrapes is how many clients may read at a time.
const maxScrapes = 4

// Metrics are those of one Hotaru.
type Metrics struct {
	registry  *prometheus.Registry
	functions *functions
	sandboxes operations
	commits   operations
	handler   http.Handler
}

// Options say what Metrics are made of.
type Options struct {
	// Known says whether a version of a function is still there: those of others are forgotten at the next scrape. It
	// is called from many goroutines; nil means that all are.
	Known func(id function.ID, version string) bool
	// Logger hears of scrapes that fail; slog.DiscardHandler by default.
	Logger *slog.Logger
}

// New makes metrics that have counted nothing yet.
func New(o Options) *Metrics {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := prometheus.NewRegistry()
	m := &Metrics{
		registry:  r,
		functions: newFunctions(r, o.Known),
		sandboxes: newOperations(r, "hotaru_sandbox_operation", "operations on sandboxes", []string{"operation"},
			"create", "attach", "start", "copy", "freeze", "thaw", "reset", "destroy"),
		commits: newOperations(r, "hotaru_store_commit", "commits to the store, until they are on disk", nil, ""),
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelError), MaxRequestsInFlight: maxScrapes,
	})
	return m
}

// ServeHTTP answers GET and HEAD of /metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/metrics":
		http.Error(w, "The metrics are at /metrics.", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Metrics can only be read.", http.StatusMethodNotAllowed)
	default:
		m.functions.forget()
		m.handler.ServeHTTP(w, r)
	}
}

// Sources are asked at each scrape. A nil one has no metric.
type Sources struct {
	// Environments are the execution environments that wait for an event and that are at work.
	Environments func() (idle, busy int)
	// Blanks are the prepared sandboxes that are ready, and that are being made.
	Blanks func() (ready, coming int)
	// Hulls are the sandboxes that are prepared as far as that can be done for any function, and those that soon will be.
	Hulls func() (ready, coming int)
	// Unreserved tells how many events of functions without reserved concurrency are being processed.
	Unreserved func(tell func(account, region string, executions int))
	// LogEventsDropped counts log events that were lost since the start because they came too fast; LogBytesPending
	// are those that wait to be written.
	LogEventsDropped func() uint64
	LogBytesPending  func() int64
	// LogDeliveries counts the log events that subscription filters have delivered, and that were given up.
	LogDeliveries func() (delivered, lost uint64)
}

// Watch adds sources. Call it once.
func (m *Metrics) Watch(s Sources) {
	if s.Environments != nil {
		m.registry.MustRegister(states("hotaru_environments", "Execution environments, by what they do.",
			prometheus.GaugeValue, "idle", "busy", s.Environments))
	}
	if s.Blanks != nil {
		m.registry.MustRegister(states("hotaru_blanks",
			"Prepared sandboxes that belong to no function yet, their interpreter started where it can be.",
			prometheus.GaugeValue, "ready", "coming", s.Blanks))
	}
	if s.Hulls != nil {
		m.registry.MustRegister(states("hotaru_hulls",
			"Sandboxes that are prepared as far as that can be done before it is known what they are for.",
			prometheus.GaugeValue, "ready", "coming", s.Hulls))
	}
	if s.Unreserved != nil {
		m.registry.MustRegister(&unreserved{read: s.Unreserved, seen: map[[2]string]int{}, desc: prometheus.NewDesc(
			"aws_lambda_unreserved_concurrent_executions",
			"UnreservedConcurrentExecutions: events of functions without reserved concurrency that are being processed now.",
			[]string{"account_id", "region"}, nil)})
	}
	if s.LogDeliveries != nil {
		m.registry.MustRegister(states("hotaru_log_deliveries_total", "Log events that subscription filters have brought to functions, or have given up.",
			prometheus.CounterValue, "delivered", "lost", s.LogDeliveries))
	}
	if s.LogEventsDropped != nil {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "hotaru_log_events_dropped_total", Help: "Log events that came faster than they could be stored.",
		}, func() float64 { return float64(s.LogEventsDropped()) }))
	}
	if s.LogBytesPending != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hotaru_log_pending_bytes", Help: "Log events that wait to be written.",
		}, func() float64 { return float64(s.LogBytesPending()) }))
	}
}

// pair is a metric of two states that are read at one moment.
type pair[N int | uint64] struct {
	desc          *prometheus.Desc
	kind          prometheus.ValueType
	first, second string
	read          func() (N, N)
}

func states[N int | uint64](name, help string, kind prometheus.ValueType, first, second string, read func() (N, N)) prometheus.Collector {
	return &pair[N]{prometheus.NewDesc(name, help, []string{"state"}, nil), kind, first, second, read}
}

// Describe implements prometheus.Collector.
func (p *pair[N]) Describe(to chan<- *prometheus.Desc) { to <- p.desc }

// Collect implements prometheus.Collector.
func (p *pair[N]) Collect(to chan<- prometheus.Metric) {
	first, second := p.read()
	to <- prometheus.MustNewConstMetric(p.desc, p.kind, float64(first), p.first)
	to <- prometheus.MustNewConstMetric(p.desc, p.kind, float64(second), p.second)
}

// unreserved is a gauge for every account and region that has had executions.
type unreserved struct {
	desc *prometheus.Desc
	read func(func(account, region string, executions int))

	mu   sync.Mutex // guards what follows
	seen map[[2]string]int
}

// Describe implements prometheus.Collector.
func (u *unreserved) Describe(to chan<- *prometheus.Desc) { to <- u.desc }

// Collect implements prometheus.Collector. Where nothing runs any more the gauge is 0 and does not end.
func (u *unreserved) Collect(to chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for place := range u.seen {
		u.seen[place] = 0
	}
	u.read(func(account, region string, executions int) { u.seen[[2]string{account, region}] = executions })
	for place, executions := range u.seen {
		to <- prometheus.MustNewConstMetric(u.desc, prometheus.GaugeValue, float64(executions), place[:]...)
	}
}
