package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hotaru/pool"
	"hotaru/sandbox"
)

// Surveyed is what one sandbox driver enforces on this host.
type Surveyed struct {
	// Sandbox is the driver's name, as --sandbox takes it.
	Sandbox string
	// Err says why the driver does not work here; then there are no Capabilities.
	Err          error
	Capabilities []sandbox.Capability
}

// Survey opens the sandbox drivers as Start would, beside what may be served now, and says what each enforces. names
// are those wanted; none means all. Nothing is left of it.
func Survey(ctx context.Context, config Config, names ...string) (surveyed []Surveyed, err error) {
	if config.DataDir, err = os.MkdirTemp("", "hotaru-survey-"); err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(config.DataDir)) }()
	d := &Daemon{config: config.withDefaults(), loopback: &loopback{}}
	d.logger = d.config.Logger
	d.budget = pool.NewBudget(d.config.MemoryBudget, pool.Machine{}.Available)
	defer func() { err = errors.Join(err, d.undo(context.WithoutCancel(ctx))) }()
	if err := d.openNetwork(); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = []string{"namespace", "oci", "process"}
	}
	for _, name := range names {
		s := Surveyed{Sandbox: name}
		driver, err := d.openDriver(name)
		if s.Err = err; err == nil {
			s.Capabilities = driver.Capabilities()
			d.onClose(func(context.Context) error { return driver.Close() })
		}
		surveyed = append(surveyed, s)
	}
	return surveyed, nil
}
