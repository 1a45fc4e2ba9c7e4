package pool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"hotaru/sandbox"
)

// TemplateKey says whose environments a template's copies may become: those of one owner, of one driver and one program.
// Copies share what their template had in memory, so no two owners share a template.
type TemplateKey struct {
	Owner, Driver, Program string
}

// Templates keeps templates: processes whose copies become environments faster than an interpreter starts. Where many
// environments of one key are made with none ready, it has a template started, which goes again when it is no longer used. It
// is safe for concurrent use; nil has no templates.
type Templates struct {
	limits TemplateLimits
	logger *slog.Logger

	mu     sync.Mutex // guards what follows
	wanted map[TemplateKey]*wanted
	closed bool

	working sync.WaitGroup // templates being started or closed
	ctx     context.Context
	stop    context.CancelFunc
	stopped chan struct{}
}

// TemplateLimits bound a Templates. Zero fields take the default.
type TemplateLimits struct {
	// Burst is how many environments must be wanted within Window for a template to be started; 4 in 1 s.
	Burst  int
	Window time.Duration
	// Patience is how long after a template's start it is worth waiting for; 250 ms. What takes longer is in trouble, and
	// everybody goes on without.
	Patience time.Duration
	// IdleTime after which a template that nobody copies goes; one minute. One that could not be started, or that has
	// refused, is not tried again for as long.
	IdleTime time.Duration
	// Budget is the memory there is; nil is no end of it.
	Budget *Budget
}

// wanted is what is known of a key.
type wanted struct {
	template sandbox.Template // nil: none, or not yet
	charge   int64            // what it has taken of the budget
	starting *starting        // nil: none is being started
	// never says that the driver or the program makes none.
	never bool
	// last is the latest time that one was wanted, burst how many since began.
	last, began time.Time
	burst       int
	notBefore   time.Time
}

// starting is a template that is being started. done is closed afterwards, late is when it is not worth waiting for any more.
type starting struct {
	done chan struct{}
	late time.Time
}

// templateMemory is what a template is expected to take until it is known.
const templateMemory = 16 << 20

// NewTemplates makes a place for templates. Close ends it.
func NewTemplates(limits TemplateLimits, logger *slog.Logger) *Templates {
	setDefault(&limits.Burst, 4)
	setDefault(&limits.Window, time.Second)
	setDefault(&limits.Patience, 250*time.Millisecond)
	setDefault(&limits.IdleTime, time.Minute)
	t := &Templates{limits: limits, logger: logger, wanted: map[TemplateKey]*wanted{}, stopped: make(chan struct{})}
	t.ctx, t.stop = context.WithCancel(context.Background())
	go t.retire()
	return t
}

// Want says that an environment is being made that a copy could become. It returns the template if there is one; else it
// may have start called in the background, for the next.
func (t *Templates) Want(key TemplateKey, start func(context.Context) (sandbox.Template, error)) sandbox.Template {
	template, _ := t.want(key, start)
	return template
}

// Await is Want for an environment that would have to start a program of its own: where a template is being started, that
// will be ready before long, and takes a part of the CPU time. Who comes alone never waits, because none is started then.
func (t *Templates) Await(ctx context.Context, key TemplateKey, start func(context.Context) (sandbox.Template, error)) sandbox.Template {
	template, starting := t.want(key, start)
	if starting == nil {
		return template
	}
	timer := time.NewTimer(time.Until(starting.late))
	defer timer.Stop()
	select {
	case <-starting.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.wanted[key]; w != nil {
		return w.template
	}
	return nil
}

// want is Want, and also says what is being started, for this key.
func (t *Templates) want(key TemplateKey, start func(context.Context) (sandbox.Template, error)) (sandbox.Template, *starting) {
	if t == nil {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil
	}
	w := t.wanted[key]
	if w == nil {
		w = &wanted{}
		t.wanted[key] = w
	}
	now := time.Now()
	if now.Sub(w.began) > t.limits.Window {
		w.began, w.burst = now, 0
	}
	w.burst++
	w.last = now
	if w.template != nil && ended(w.template) {
		t.removeLocked(w)
	}
	if w.template == nil && w.starting == nil && !w.never && w.burst >= t.limits.Burst && !now.Before(w.notBefore) &&
		t.limits.Budget.short(templateMemory) <= 0 {
		w.starting = &starting{done: make(chan struct{}), late: now.Add(t.limits.Patience)}
		w.charge = templateMemory
		t.limits.Budget.correct(w.charge)
		t.working.Go(func() { t.start(w, start) })
	}
	return w.template, w.starting
}

func ended(template sandbox.Template) bool {
	select {
	case <-template.Done():
		return true
	default:
		return false
	}
}

func (t *Templates) start(w *wanted, start func(context.Context) (sandbox.Template, error)) {
	template, err := start(t.ctx)
	var used int64
	if err == nil {
		used, err = template.MemoryBytes()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	close(w.starting.done)
	w.starting, w.template = nil, template
	switch {
	case err != nil:
		w.never = errors.Is(err, errors.ErrUnsupported)
		w.notBefore = time.Now().Add(t.limits.IdleTime)
		if t.ctx.Err() == nil {
			// Environments are made without.
			t.logger.Info("no template for environments of this kind", "error", err)
		}
		t.removeLocked(w)
	case t.closed:
		t.removeLocked(w)
	default:
		t.limits.Budget.correct(used + overhead - w.charge)
		w.charge = used + overhead
	}
}

// Refuse gives a template up whose copy did not become a process.
func (t *Templates) Refuse(key TemplateKey, template sandbox.Template) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.wanted[key]; w != nil && w.template == template {
		w.notBefore = time.Now().Add(t.limits.IdleTime)
		t.removeLocked(w)
	}
}

// removeLocked closes a template, if there is one, in the background; Close waits for it.
func (t *Templates) removeLocked(w *wanted) {
	template, charge := w.template, w.charge
	w.template, w.charge = nil, 0
	if template == nil {
		t.limits.Budget.correct(-charge)
		return
	}
	t.limits.Budget.leave(charge)
	t.working.Go(func() {
		if err := template.Close(); err != nil {
			t.logger.Error("a template could not be removed", "error", err)
		}
		t.limits.Budget.gone(charge)
	})
}

// Size is how many templates there are.
func (t *Templates) Size() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, w := range t.wanted {
		if w.template != nil {
			n++
		}
	}
	return n
}

// retire has the templates go that nobody wants any more.
func (t *Templates) retire() {
	defer close(t.stopped)
	ticker := time.NewTicker(max(t.limits.IdleTime/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case now := <-ticker.C:
			t.retireSince(now.Add(-t.limits.IdleTime))
		}
	}
}

func (t *Templates) retireSince(limit time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, w := range t.wanted {
		switch {
		case w.template != nil && (w.last.Before(limit) || ended(w.template)):
			t.removeLocked(w)
		case w.template == nil && w.starting == nil && !w.never && w.last.Before(limit):
			delete(t.wanted, key)
		}
	}
}

// Close closes every template and waits until all are gone. Their copies stay. Idempotent.
func (t *Templates) Close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.closed = true
	for key, w := range t.wanted {
		if w.template != nil {
			t.removeLocked(w)
		}
		delete(t.wanted, key)
	}
	t.mu.Unlock()
	t.stop()
	<-t.stopped
	t.working.Wait()
}
