package environment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hotaru/function"
	"hotaru/runtime"
	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// Blank is a sandbox that belongs to no function yet. With its runtime started it is a zygote: an interpreter
// that waits to be told what it serves. It becomes one function's environment, once, and is never another's.
type Blank struct {
	cfg     BlankConfig
	sandbox sandbox.Sandbox
	out     *output
	runtime conversation
	// places are the variables that say where the environment's own services are.
	places []string
}

// BlankConfig says what a blank is made of.
type BlankConfig struct {
	// ID names the sandbox: [a-z0-9-]{1,64}, unique.
	ID     string
	Driver sandbox.Driver
	// Program is the runtime process of every function that the blank may serve.
	Program runtime.Program
	// Binds are code and layers, where it is known already whose environment this will be.
	Binds []sandbox.Bind
	// MemoryMB and EphemeralStorageMB are those of the function's version.
	MemoryMB, EphemeralStorageMB int
	// DiskBandwidth is how many bytes a second may be read from disks, and how many written; 0 is no limit.
	DiskBandwidth int64
	// Egress is how far the network reaches, NetBandwidth how many bytes a second may be sent there, and how many
	// received; 0 is no limit.
	Egress       sandbox.Egress
	NetBandwidth int64
	// Listen and ListenPacket are the sandbox's addresses that Serve serves, beside RuntimeAPIAddress.
	Listen, ListenPacket []string
	// Serve serves what code finds inside, on those addresses, until the sandbox is destroyed, and returns the
	// variables that tell it where, NAME=value. It must return at once. nil serves nothing.
	Serve func(sandbox.Sandbox) (variables []string)
}

// conversation is a runtime process and the session with it.
type conversation struct {
	process sandbox.Process
	session runtimeapi.Session
}

// NewBlank makes the sandbox. Nothing runs in it.
func NewBlank(ctx context.Context, cfg BlankConfig) (*Blank, error) {
	sb, err := cfg.Driver.Create(ctx, sandbox.Spec{
		ID: cfg.ID, Root: cfg.Program.Root, Binds: cfg.Binds, Limits: cfg.limits(),
		Listen: append([]string{RuntimeAPIAddress}, cfg.Listen...), ListenPacket: cfg.ListenPacket,
		Egress: cfg.Egress,
	})
	if err != nil {
		return nil, fmt.Errorf("environment: create sandbox: %w", err)
	}
	out, err := newOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("environment: log pipe: %w", err), sb.Destroy(ctx))
	}
	places := []string{"AWS_LAMBDA_RUNTIME_API=" + sb.Listener(RuntimeAPIAddress).Addr().String()}
	if cfg.Serve != nil {
		places = append(places, cfg.Serve(sb)...)
	}
	return &Blank{cfg: cfg, sandbox: sb, out: out, places: places}, nil
}

// limits are those of Init: full speed, as on Lambda.
func (c *BlankConfig) limits() sandbox.Limits {
	return sandbox.Limits{
		MemoryBytes: int64(c.MemoryMB) << 20, TmpBytes: int64(c.EphemeralStorageMB) << 20, DiskBytesPerSecond: c.DiskBandwidth,
		NetBytesPerSecond: c.NetBandwidth,
	}
}

// Warm starts the runtime process, which makes the blank a zygote. It is for programs that talk frames: others
// start with their function.
func (b *Blank) Warm(ctx context.Context) error {
	return b.start(ctx, nil)
}

// Template is what a template is whose copies the blank can have as its runtime process.
func (b *Blank) Template() sandbox.TemplateSpec {
	p := b.cfg.Program
	return sandbox.TemplateSpec{Root: p.Root, Path: p.Path, Args: p.Args, Env: p.Environ(b.places)}
}

// Copy is Warm with a copy of such a template, which takes less time than to start the program. On an error the blank is
// as it was.
func (b *Blank) Copy(ctx context.Context, template sandbox.Template) error {
	return b.start(ctx, template)
}

func (b *Blank) start(ctx context.Context, template sandbox.Template) error {
	c, err := startRuntime(ctx, b.sandbox, b.out, b.cfg.Program, b.cfg.Program.Environ(b.places), nil, template)
	if err != nil {
		return err
	}
	b.runtime = c
	return nil
}

// Alive says whether the blank can still become an environment.
func (b *Blank) Alive() bool {
	if b.runtime.process == nil {
		return true
	}
	select {
	case <-b.runtime.process.Done():
		return false
	default:
		return true
	}
}

// MemoryBytes is how much memory the blank uses now; 0 if that cannot be read.
func (b *Blank) MemoryBytes(ctx context.Context) int64 {
	stats, err := b.sandbox.Stats(ctx)
	if err != nil {
		return 0 // one that is no longer alive is not handed out
	}
	return stats.MemoryBytes
}

// Assign makes the blank a function's environment. On an error the blank is closed.
func (b *Blank) Assign(ctx context.Context, cfg Config) (*Environment, error) {
	if len(cfg.Binds) > 0 {
		if err := b.sandbox.Attach(ctx, cfg.Binds); err != nil {
			return nil, errors.Join(fmt.Errorf("environment: attach code: %w", err), b.Close(context.WithoutCancel(ctx)))
		}
	}
	b.out.setSink(cfg.Log, cfg.Version.Logging)
	return &Environment{
		cfg: cfg, blank: b.cfg, sandbox: b.sandbox, out: b.out, runtime: b.runtime, created: time.Now(),
		initLimit: function.InitTimeout,
		variables: cfg.Program.Environ(slices.Concat(b.places, cfg.Env)),
	}, nil
}

// Close frees everything. It is not for a blank that was assigned.
func (b *Blank) Close(ctx context.Context) error {
	err := b.sandbox.Destroy(ctx)
	b.runtime.close()
	b.out.close()
	return err
}
