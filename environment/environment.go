// Package environment is one execution environment's life: a sandbox with one runtime process tree for one
// function version, from Init over many invocations to Shutdown. It decides what a crash, a timeout or a bad
// answer means and what the log says about it. It must not know the Lambda API, queues, other environments or
// who asked.
package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"hotaru/function"
	"hotaru/runtime"
	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// RuntimeAPIAddress is where Lambda's Runtime API listens inside an environment.
const RuntimeAPIAddress = "127.0.0.1:9001"

// AWSAddress is where the AWS APIs listen inside an environment.
const AWSAddress = "127.0.0.1:4566"

// exitGrace is how long a runtime that has closed its conversation may take to be seen exiting.
const exitGrace = time.Second

// Config says what an environment is made of.
type Config struct {
	// ID names the sandbox: [a-z0-9-]{1,64}, unique.
	ID      string
	Version *function.Version
	// Program is the runtime process to start. Broken says why there is none, which is the function's fault.
	Program runtime.Program
	Broken  error
	// Binds are the function's code and layers.
	Binds  []sandbox.Bind
	Driver sandbox.Driver
	// Env are variables besides Program's own, NAME=value: the platform's and the function's.
	Env []string
	// ServeAWS serves the AWS APIs to the code inside, on AWSAddress, until the listener is closed. It must
	// return at once. nil means that the code has no AWS endpoint.
	ServeAWS func(net.Listener)
	Log      Log
	Logger   *slog.Logger
}

// Environment is an execution environment. Invoke serves one event at a time; the caller sees to that.
type Environment struct {
	cfg     Config
	sandbox sandbox.Sandbox
	out     *output
	memory  memoryWatermark
	created time.Time
	// variables is the whole environment of the runtime process, but for the Runtime API's address.
	variables []string

	mu    sync.Mutex // guards phase
	phase phase

	// process and session are there from the start of Init until a reset.
	process sandbox.Process
	session runtimeapi.Session
	// initDuration is reported once, by the first invocation after a successful Init.
	initDuration time.Duration
}

// Create makes the sandbox. Nothing of the function runs before the first Invoke or Init.
func Create(ctx context.Context, cfg Config) (*Environment, error) {
	var listen []string
	if !cfg.Program.Frames {
		listen = append(listen, RuntimeAPIAddress)
	}
	if cfg.ServeAWS != nil {
		listen = append(listen, AWSAddress)
	}
	sb, err := cfg.Driver.Create(ctx, sandbox.Spec{
		ID:     cfg.ID,
		Root:   cfg.Program.Root,
		Binds:  cfg.Binds,
		Limits: initLimits(cfg.Version),
		Listen: listen,
	})
	if err != nil {
		return nil, fmt.Errorf("environment: create sandbox: %w", err)
	}
	out, err := newOutput(cfg.Log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("environment: log pipe: %w", err), sb.Destroy(ctx))
	}
	e := &Environment{cfg: cfg, sandbox: sb, out: out, created: time.Now()}
	e.variables = append(append(e.variables, cfg.Program.Env...), cfg.Env...)
	if cfg.ServeAWS != nil {
		listener := sb.Listener(AWSAddress)
		e.variables = append(e.variables, "AWS_ENDPOINT_URL=http://"+listener.Addr().String())
		cfg.ServeAWS(listener)
	}
	return e, nil
}

// Age is how long ago the environment was made.
func (e *Environment) Age() time.Duration { return time.Since(e.created) }

// Version is the function version that the environment serves.
func (e *Environment) Version() *function.Version { return e.cfg.Version }

// Close ends the environment and frees everything. It waits for an invocation that is under way to be cut off.
func (e *Environment) Close(ctx context.Context) error {
	_ = e.setPhase(closed) // closed is legal from everywhere
	err := e.sandbox.Destroy(ctx)
	e.endSession()
	e.out.close()
	return err
}

// Alive says whether the environment can take another event.
func (e *Environment) Alive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase != closed
}

// initLimits are the limits during Init: full speed, as on Lambda.
func initLimits(v *function.Version) sandbox.Limits {
	return sandbox.Limits{
		MemoryBytes: int64(v.MemoryMB) << 20,
		TmpBytes:    int64(v.EphemeralStorageMB) << 20,
	}
}

// invokeLimits are the limits from the end of Init on.
func invokeLimits(v *function.Version) sandbox.Limits {
	l := initLimits(v)
	l.MilliCPU = function.MilliCPU(v.MemoryMB)
	return l
}
