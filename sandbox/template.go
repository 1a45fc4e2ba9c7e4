package sandbox

import (
	"context"
	"errors"
	"fmt"
)

// Templater is a Driver that may be able to make a process as a copy of one that has started already, a template, in a
// sandbox that the template has never been in. To start an interpreter takes longer than to copy it.
//
// The program has to do its part: it finds a socket at descriptor 4 and /dev/null at 0 to 3, and makes of itself what it is
// asked there (package namespace/wire). What the copies have in common is whatever the program had in memory before:
// a template must never have seen what belongs to anybody, and its copies should belong to one owner.
type Templater interface {
	// NewTemplate starts a template. It sees Root and no more: no /tmp, no /proc, no network. errors.ErrUnsupported says
	// that there can be none, here or of this program.
	NewTemplate(ctx context.Context, spec TemplateSpec) (Template, error)
}

// TemplateSpec says what a template is.
type TemplateSpec struct {
	// Root is that of the sandboxes, and no stranger's: the template is outside of every sandbox.
	Root Root
	// Path, Args, Env and Dir are those of the command that copies are made instead of.
	Path string
	Args []string
	Env  []string
	Dir  string
}

// Template is a process that can be copied: Command.Template. It is safe for concurrent use.
type Template interface {
	// Done is closed when it has ended, of itself or by Close: start another, or do without.
	Done() <-chan struct{}
	// MemoryBytes is how much memory it uses now, which is what its copies share with it and do not count.
	MemoryBytes() (int64, error)
	// Close ends it and removes every trace. Its copies stay. Idempotent.
	Close() error
}

// NewTemplate starts a template if the driver can: see Templater.
func NewTemplate(ctx context.Context, driver Driver, spec TemplateSpec) (Template, error) {
	templater, ok := driver.(Templater)
	if !ok {
		return nil, fmt.Errorf("sandbox: %s makes no templates: %w", driver.Name(), errors.ErrUnsupported)
	}
	command := Command{Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Dir}
	if err := command.Validate(); err != nil {
		return nil, err
	}
	return templater.NewTemplate(ctx, spec)
}
