package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hotaru/runtime/sdk"
	"hotaru/sandbox"
)

// Catalog knows what this machine can run. It is safe for concurrent use; it looks at the machine when it is
// first asked for a language, and remembers what programs are from one start of the daemon to the next.
type Catalog struct {
	// Search says where interpreters are looked for.
	Search Search
	// StateDir is a directory of the catalog's own, absolute: bootstraps, root skeletons, what programs are.
	StateDir string
	// CA is a certificate authority, as PEM, that programs inside a sandbox trust beside the host's; empty means the
	// host's alone.
	CA []byte
	// SDKs are AWS's SDKs for interpreters of this machine; a base image has the one that it brings along. A runtime keeps
	// the one that was there when it was resolved first.
	SDKs sdk.Store
	// Bases are base images by the identifier of the runtime that they are for; "" is for every other. A runtime
	// without one has a root that is assembled from the host.
	Bases map[string]*Base
	// Driver runs programs of base images; it is needed if there are any, and must isolate files.
	Driver sandbox.Driver
	// Nearest lets a version that is not installed be served by the nearest one of the same language that is.
	Nearest bool

	once       sync.Once
	prober     *prober
	localeOnce sync.Once
	localeName string

	// looking is held while the machine is looked at, which may start programs; it is taken before mu.
	looking sync.Mutex
	mu      sync.RWMutex // guards resolved
	// resolved are the runtimes that were found; a missing one is looked for again each time, because it may
	// have been installed since.
	resolved map[string]*Runtime
}

// MissingError says that a runtime is Lambda's but cannot run here, and what to do about it.
type MissingError struct {
	Info Info
	// Mend says what to install or set, as a sentence without its full stop; empty if nothing helps.
	Mend string
}

func (e *MissingError) Error() string {
	if e.Mend == "" {
		return fmt.Sprintf("%s cannot run here: Hotaru has no bootstrap for it yet", e.Info.ID)
	}
	return fmt.Sprintf("%s is not installed here: %s", e.Info.ID, e.Mend)
}

// Runtime is a managed runtime that this machine can run.
type Runtime struct {
	Info
	// Warning says that another version than asked for serves it; empty if not.
	Warning string
	// Interpreter is nil for a custom runtime.
	Interpreter *Interpreter

	catalog   *Catalog
	base      *Base  // nil: the root is assembled from the host
	bootstrap string // the directory with its bootstrap; empty for a custom runtime
	skeleton  string // the directory of a root from the host
}

// Resolve returns the runtime for an identifier. One that Lambda knows and this machine cannot run is a
// *MissingError; one that Lambda does not know is an error of the caller's, who should have validated it.
func (c *Catalog) Resolve(ctx context.Context, id string) (*Runtime, error) {
	info, ok := Lookup(id)
	if !ok {
		return nil, fmt.Errorf("runtime: %q is no runtime of Lambda's", id)
	}
	if r := c.found(id); r != nil {
		return r, nil
	}
	c.looking.Lock()
	defer c.looking.Unlock()
	if r := c.found(id); r != nil {
		return r, nil
	}
	r, err := c.resolve(ctx, info)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resolved == nil {
		c.resolved = map[string]*Runtime{}
	}
	c.resolved[id] = r
	return r, nil
}

// found returns what is known already: a runtime that serves functions waits for no search for another.
func (c *Catalog) found(id string) *Runtime {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.resolved[id]
}

func (c *Catalog) resolve(ctx context.Context, info Info) (*Runtime, error) {
	c.once.Do(func() { c.prober = &prober{file: filepath.Join(c.StateDir, "interpreters.json")} })
	r := &Runtime{Info: info, catalog: c, base: c.base(info.ID)}
	if r.base == nil {
		var err error
		if r.skeleton, err = c.skeleton(); err != nil {
			return nil, err
		}
	}
	if info.Language == Provided {
		return r, nil
	}
	if !hasBootstrap(info) {
		return nil, &MissingError{Info: info}
	}
	if err := c.choose(ctx, r); err != nil {
		return nil, err
	}
	if r.base == nil {
		_ = loadLarge(r.Interpreter.Path) // without it processes start slower, that is all
	}
	shown, compile := runtimeDir, compiler(onHost)
	var given *sdk.Installed
	var err error
	if r.base == nil {
		if given, err = c.SDKs.Installed(r.Interpreter.SDK()); err != nil {
			return nil, err
		}
	} else {
		shown = baseBootstrap
		compile = func(ctx context.Context, program string, args []string, files string) ([]byte, error) {
			return c.inside(ctx, r.base, program, append(args, LayerRoot), files)
		}
	}
	r.bootstrap, err = installBootstrap(ctx, filepath.Join(c.StateDir, "bootstraps"), r.Interpreter, given, shown, compile)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// choose finds the interpreter that serves a runtime.
func (c *Catalog) choose(ctx context.Context, r *Runtime) (err error) {
	if r.base != nil {
		if r.Interpreter, err = c.inBase(ctx, r.base, r.Info); err != nil {
			return fmt.Errorf("runtime: base image %s: %w", r.base.Name, err)
		}
	} else {
		exact := func(in *Interpreter) bool { return serves(in.Version, r.Info.Version) }
		r.Interpreter, err = c.find(ctx, r.Language, programs(r.Language, r.Info.Version), exact)
		if err == nil && r.Interpreter == nil && c.Nearest {
			r.Interpreter, err = c.nearest(ctx, r.Info)
		}
		if err != nil {
			return err
		}
	}
	if r.Interpreter == nil {
		return &MissingError{Info: r.Info, Mend: c.mend(r.Info, r.base)}
	}
	if !serves(r.Interpreter.Version, r.Info.Version) {
		r.Warning = fmt.Sprintf("%s is not installed here: %s %s serves it", r.ID, r.Language, r.Interpreter.Version)
	}
	return nil
}

// hasBootstrap says whether a runtime is of a language and version that our bootstraps serve.
func hasBootstrap(info Info) bool {
	switch info.Language {
	case Python:
		return compareVersions(info.Version, oldestPython) >= 0
	case NodeJS:
		return compareVersions(info.Version, oldestNode) >= 0
	default:
		return false
	}
}

// nearest returns the installed interpreter whose version is nearest to a runtime's, a newer one before an
// older one: what was written for an older version mostly runs on a newer one.
func (c *Catalog) nearest(ctx context.Context, info Info) (*Interpreter, error) {
	var all []*Interpreter
	names := programs(info.Language, "")
	for _, other := range known {
		if other.Language == info.Language && info.Language == Python && hasBootstrap(other) {
			names = append(names, "python"+other.Version)
		}
	}
	_, err := c.find(ctx, info.Language, names, func(in *Interpreter) bool {
		if hasBootstrap(Info{Language: in.Language, Version: in.Version}) {
			all = append(all, in)
		}
		return false
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b *Interpreter) int { return compareVersions(a.Version, b.Version) })
	for _, in := range all {
		if compareVersions(in.Version, info.Version) > 0 {
			return in, nil
		}
	}
	return all[len(all)-1], nil
}

// mend says how to get a runtime that is missing.
func (c *Catalog) mend(info Info, base *Base) string {
	var how string
	switch {
	case base != nil:
		how = fmt.Sprintf("base image %s has none in %s: give %s one of its own, --base-image=%s=IMAGE", base.Name,
			strings.Join(insideDirs, ", "), info.ID, info.ID)
	case info.Language == Python:
		how = fmt.Sprintf("install Python %[1]s (Debian: apt-get install python%[1]s, or pyenv install %[1]s)", info.Version)
	case info.Language == NodeJS:
		how = fmt.Sprintf("install Node.js %[1]s (nvm install %[1]s, or the packages of nodejs.org)", info.Version)
	}
	if !c.Nearest {
		how += " or serve with --runtimes=nearest"
	}
	return how
}

// Status is one runtime of Lambda's and whether it runs here.
type Status struct {
	Info
	// Interpreter that would serve it; nil for a custom runtime.
	Interpreter *Interpreter
	// Err is a *MissingError, or why it could not be found out.
	Err error
	// Warning as Runtime's.
	Warning string
}

// List says of every runtime whether it runs here. It may start each interpreter it finds once.
func (c *Catalog) List(ctx context.Context) []Status {
	var all []Status
	for _, info := range known {
		status := Status{Info: info}
		r, err := c.Resolve(ctx, info.ID)
		if err != nil {
			status.Err = err
		} else {
			status.Interpreter, status.Warning = r.Interpreter, r.Warning
		}
		all = append(all, status)
	}
	return all
}

// inUsr says whether an interpreter is part of the host's /usr, which every root shows at its own place.
func (in *Interpreter) inUsr() bool {
	return in.Prefix == "/usr" || strings.HasPrefix(in.Prefix, "/usr/")
}
