// Package environment is one execution environment's life: a sandbox with one runtime process tree for one
// function version, from Init over many invocations to Shutdown. It decides what a crash, a timeout or a bad
// answer means and what the log says about it. It must not know the Lambda API, queues, other environments or
// who asked.
package environment

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hotaru/function"
	"hotaru/runtime"
	"hotaru/sandbox"
)

// RuntimeAPIAddress is where Lambda's Runtime API listens inside an environment.
const RuntimeAPIAddress = "127.0.0.1:9001"

// exitGrace is how long a runtime that has closed its conversation may take to be seen exiting.
const exitGrace = time.Second

// Config says what a blank becomes.
type Config struct {
	Version *function.Version
	// Program is the runtime process to start where the blank has none. Broken says why there is no such
	// program, which is the function's fault; Wrapped that it is started by the function's wrapper script.
	Program runtime.Program
	Broken  error
	Wrapped bool
	// Binds are the function's code and layers, where the blank was made without.
	Binds []sandbox.Bind
	// Env are variables besides Program's own, NAME=value: the platform's and the function's.
	Env    []string
	Log    Log
	Logger *slog.Logger
}

// Environment is an execution environment. Invoke and Finish serve one event at a time; the caller sees to that.
type Environment struct {
	cfg     Config
	blank   BlankConfig
	sandbox sandbox.Sandbox
	out     *output
	memory  memoryWatermark
	created time.Time
	rest    rest
	turn    turn
	// variables is the whole environment of the runtime process.
	variables []string
	// initLimit is function.InitTimeout, but for tests.
	initLimit time.Duration

	mu    sync.Mutex // guards what follows
	phase phase
	// runtime is there from the start of Init, or of the zygote, until a reset.
	runtime conversation
	// generation is there from the start of Init until a reset.
	generation *generation

	// limited says that the CPU quota applies: Init is over.
	limited bool
	// initDuration is reported once, by the first invocation after a successful Init phase.
	initDuration time.Duration
	// suppressed says that the next Init has no phase of its own, because an invocation was what broke the last
	// generation: it runs inside the next invocation.
	suppressed bool
}

// Age is how long ago the environment was made.
func (e *Environment) Age() time.Duration { return time.Since(e.created) }

// Version is the function version that the environment serves.
func (e *Environment) Version() *function.Version { return e.cfg.Version }

// Egress is how far the environment's network reaches.
func (e *Environment) Egress() sandbox.Egress { return e.blank.Egress }

// Close ends the environment, after its Shutdown phase if it is idle, and frees everything. It waits for an invocation
// that is under way to be cut off.
func (e *Environment) Close(ctx context.Context) error {
	if e.retire() {
		e.spinDown(ctx)
	}
	_ = e.setPhase(closed) // closed is legal from everywhere
	e.endRest()
	err := e.sandbox.Destroy(ctx)
	e.endSession()
	e.endGeneration()
	e.out.close()
	return err
}

// retire moves an idle environment to its Shutdown. It says whether there is one.
func (e *Environment) retire() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != ready {
		return false
	}
	e.phase = shuttingDown
	return true
}

// Alive says whether the environment can take another event.
func (e *Environment) Alive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase != closed && e.phase != shuttingDown
}

// invokeLimits are the limits from the end of Init on.
func (e *Environment) invokeLimits() sandbox.Limits {
	l := e.blank.limits()
	l.MilliCPU = function.MilliCPU(e.cfg.Version.MemoryMB)
	return l
}
