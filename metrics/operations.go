package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hotaru/sandbox"
	"hotaru/store"
)

// operations times things that other rooms do, and counts how often each failed.
type operations map[string]operation

type operation struct {
	took   prometheus.Observer
	errors prometheus.Counter
}

// newOperations makes the metrics of the operations of a name. One without a label is of the operation "".
func newOperations(r *prometheus.Registry, name, what string, label []string, names ...string) operations {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name + "_seconds", Help: "How long " + what + " took.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, label)
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: name + "_errors_total", Help: "How many " + what + " failed.",
	}, label)
	r.MustRegister(took, failed)
	all := operations{}
	for _, name := range names {
		values := []string{name}[:len(label)]
		all[name] = operation{took.WithLabelValues(values...), failed.WithLabelValues(values...)}
	}
	return all
}

// note times one operation that has just ended.
func (o operations) note(name string, began time.Time, err error) {
	one := o[name]
	one.took.Observe(time.Since(began).Seconds())
	if err != nil {
		one.errors.Inc()
	}
}

// Driver times what a sandbox driver does.
func (m *Metrics) Driver(d sandbox.Driver) sandbox.Driver { return timedDriver{d, m.sandboxes} }

type timedDriver struct {
	sandbox.Driver
	times operations
}

// Create implements sandbox.Driver.
func (d timedDriver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	began := time.Now()
	sb, err := d.Driver.Create(ctx, spec)
	d.times.note("create", began, err)
	if err != nil {
		return nil, err
	}
	return timedSandbox{sb, d.times}, nil
}

// MountsImages implements sandbox.ImageMounter.
func (d timedDriver) MountsImages() bool { return sandbox.MountsImages(d.Driver) }

// NewTemplate implements sandbox.Templater.
func (d timedDriver) NewTemplate(ctx context.Context, spec sandbox.TemplateSpec) (sandbox.Template, error) {
	return sandbox.NewTemplate(ctx, d.Driver, spec)
}

// timedSandbox times what takes the kernel some time. What happens with every invocation is not among it, but for
// Thaw after a rest.
type timedSandbox struct {
	sandbox.Sandbox
	times operations
}

// Weigh implements sandbox.Weigher.
func (s timedSandbox) Weigh(crowd int) error { return sandbox.Weigh(s.Sandbox, crowd) }

// Attach implements sandbox.Sandbox.
func (s timedSandbox) Attach(ctx context.Context, binds []sandbox.Bind) error {
	began := time.Now()
	err := s.Sandbox.Attach(ctx, binds)
	s.times.note("attach", began, err)
	return err
}

// Start implements sandbox.Sandbox.
func (s timedSandbox) Start(ctx context.Context, command sandbox.Command) (sandbox.Process, error) {
	began := time.Now()
	p, err := s.Sandbox.Start(ctx, command)
	operation := "start"
	if command.Template != nil {
		operation = "copy"
	}
	s.times.note(operation, began, err)
	return p, err
}

// Reset implements sandbox.Sandbox.
func (s timedSandbox) Reset(ctx context.Context) error {
	began := time.Now()
	err := s.Sandbox.Reset(ctx)
	s.times.note("reset", began, err)
	return err
}

// Freeze implements sandbox.Sandbox.
func (s timedSandbox) Freeze(ctx context.Context) error {
	began := time.Now()
	err := s.Sandbox.Freeze(ctx)
	s.times.note("freeze", began, err)
	return err
}

// Thaw implements sandbox.Sandbox.
func (s timedSandbox) Thaw(ctx context.Context) error {
	began := time.Now()
	err := s.Sandbox.Thaw(ctx)
	s.times.note("thaw", began, err)
	return err
}

// Destroy implements sandbox.Sandbox.
func (s timedSandbox) Destroy(ctx context.Context) error {
	began := time.Now()
	err := s.Sandbox.Destroy(ctx)
	s.times.note("destroy", began, err)
	return err
}

// State times a store's commits.
func (m *Metrics) State(s store.State) store.State { return timedState{s, m.commits} }

type timedState struct {
	store.State
	times operations
}

// Commit implements store.State. Somebody else's change in between is an answer, not a failure.
func (s timedState) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	began := time.Now()
	revision, err := s.State.Commit(ctx, changes...)
	failure := err
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		failure = nil
	}
	s.times.note("", began, failure)
	return revision, err
}
