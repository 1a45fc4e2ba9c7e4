package daemon

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hotaru/function"
	"hotaru/pool"
)

// openPool opens what keeps and prepares environments.
func (d *Daemon) openPool(ctx context.Context, m *maker) error {
	keep, err := d.prewarmed(ctx, m)
	if err != nil {
		return err
	}
	d.stock = pool.NewStock(m.blank, pool.StockLimits{
		Ready: d.config.ReadyBlanks, Keep: keep, Budget: d.budget, IdleTime: d.config.IdleTime,
	}, d.logger)
	d.onClose(func(context.Context) error { d.stock.Close(); return nil })
	m.stock = d.stock
	if d.config.Templates != TemplatesOff {
		d.templates = pool.NewTemplates(pool.TemplateLimits{Budget: d.budget}, d.logger)
		d.onClose(func(context.Context) error { d.templates.Close(); return nil })
		m.templates = d.templates
	}
	d.pool = pool.New(m.environment, m.stale(d.functions.Current), pool.Options{
		IdleTime: d.config.IdleTime, Budget: d.budget, Blanks: d.stock, Logger: d.logger,
	})
	d.onClose(func(context.Context) error { d.pool.Close(); return nil })
	d.logger.Info("memory for execution environments", "mib", d.budget.Limit()>>20, "killedBeyond", d.budget.Wall()>>20)
	return nil
}

// prewarmed says how many blanks of which kinds are there before anybody asks. A runtime that is not here is an error.
func (d *Daemon) prewarmed(ctx context.Context, m *maker) (map[pool.Kind]int, error) {
	keep := map[pool.Kind]int{}
	for _, text := range d.config.Prewarm {
		p, err := parsePrewarm(text)
		if err != nil {
			return nil, err
		}
		if _, err := d.runtimes.Resolve(ctx, p.runtime); err != nil {
			return nil, fmt.Errorf("daemon: prewarm %s: %w", text, err)
		}
		kind := pool.Kind{
			Driver: d.drivers.usual, Runtime: p.runtime, MemoryMB: p.memoryMB, EphemeralStorageMB: function.DefaultEphemeralStorageMB,
			Egress: m.egressOf(nil),
		}
		keep[kind] = max(keep[kind], p.count)
	}
	return keep, nil
}

// prewarm is one --prewarm.
type prewarm struct {
	runtime         string
	memoryMB, count int
}

// usualPrewarm is how many there are of what --prewarm names without a number.
const usualPrewarm = 2

// maxPrewarm bounds one --prewarm.
const maxPrewarm = 256

// parsePrewarm reads RUNTIME[:MEMORY][=N].
func parsePrewarm(text string) (prewarm, error) {
	p := prewarm{memoryMB: function.DefaultMemoryMB, count: usualPrewarm}
	wrong := fmt.Errorf("daemon: prewarm %q is not RUNTIME[:MEMORY][=N], with %d to %d MB and N from 1 to %d",
		text, function.MinMemoryMB, function.MaxMemoryMB, maxPrewarm)
	kind, count, counted := strings.Cut(text, "=")
	var memory string
	var sized bool
	p.runtime, memory, sized = strings.Cut(kind, ":")
	var err error
	if sized {
		if p.memoryMB, err = strconv.Atoi(memory); err != nil {
			return prewarm{}, wrong
		}
	}
	if counted {
		if p.count, err = strconv.Atoi(count); err != nil {
			return prewarm{}, wrong
		}
	}
	if p.runtime == "" || p.memoryMB < function.MinMemoryMB || p.memoryMB > function.MaxMemoryMB || p.count < 1 || p.count > maxPrewarm {
		return prewarm{}, wrong
	}
	return p, nil
}
