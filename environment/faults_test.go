package environment

import (
	"context"
	"strings"
	"testing"
	"time"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/sandbox"
)

// fault is one thing that goes wrong, once: in the first generation alone, or in the first two where it hits Init.
type fault struct {
	name string
	// runtime and extension are the programs of the bad generations; nil is one that works.
	runtime, extension environmenttest.Main
	// generations is how many of them are bad: 1 if 0.
	generations int
	// status and message are the first event's outcome; status "" is success.
	status, message string
	// log is in the log of the first event, and reason of the Shutdown that a second generation's extension had before.
	log string
}

// works is an extension that does nothing, well.
func works(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
	_ = p.Register(ctx, "", "INVOKE", "SHUTDOWN")
	for {
		if event, ok := p.NextEvent(ctx); !ok || event.EventType == "SHUTDOWN" {
			return sandbox.ExitStatus{}
		}
	}
}

func exits(code int) environmenttest.Main {
	return func(context.Context, *environmenttest.Program) sandbox.ExitStatus {
		return sandbox.ExitStatus{Code: code}
	}
}

func hangs(ctx context.Context, _ *environmenttest.Program) sandbox.ExitStatus {
	<-ctx.Done()
	return sandbox.ExitStatus{}
}

// afterNext is an extension that does something with its first event.
func afterNext(do environmenttest.Main) environmenttest.Main {
	return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		_ = p.Register(ctx, "", "INVOKE", "SHUTDOWN")
		p.NextEvent(ctx)
		return do(ctx, p)
	}
}

// registered is an extension that does something after its registration.
func registered(do environmenttest.Main) environmenttest.Main {
	return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		_ = p.Register(ctx, "", "INVOKE", "SHUTDOWN")
		return do(ctx, p)
	}
}

// given is a runtime that does something with its first event.
func given(do func(ctx context.Context, p *environmenttest.Program, id string) sandbox.ExitStatus) environmenttest.Main {
	return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		id, _, ok := p.Next(ctx)
		if !ok {
			return sandbox.ExitStatus{}
		}
		return do(ctx, p, id)
	}
}

// limited says whether somebody keeps others waiting until a limit is reached.
func (f *fault) limited() bool {
	return strings.Contains(f.name, "hangs") || f.status == "Sandbox.Timedout"
}

// faults is the matrix: who fails, how, and when.
func faults() []fault {
	fails := func(path, kind string) environmenttest.Main {
		return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
			p.FailExtension(ctx, path, kind)
			return sandbox.ExitStatus{Code: 1}
		}
	}
	const timedOut = "Task timed out after 1.00 seconds"
	return []fault{
		{name: "runtime exits at Init", runtime: exits(3), log: "Phase: init\tStatus: error\tError Type: Runtime.ExitError"},
		{name: "runtime hangs at Init", runtime: hangs, log: "Phase: init\tStatus: timeout"},
		{name: "runtime exits at Init twice", runtime: exits(3), generations: 2, status: "Runtime.ExitError", message: "exit status 3"},
		{name: "runtime hangs at Init twice", runtime: hangs, generations: 2, status: "Sandbox.Timedout", message: timedOut},
		{
			name: "runtime reports at Init twice", generations: 2, status: "Runtime.ImportModuleError", message: "no module",
			runtime: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				p.Fail(ctx, "/init/error", "Runtime.ImportModuleError", `{"errorMessage":"no module"}`)
				return sandbox.ExitStatus{Code: 1}
			},
		},
		{
			name: "runtime exits at Invoke", status: "Runtime.ExitError", message: "exit status 4",
			runtime: given(func(context.Context, *environmenttest.Program, string) sandbox.ExitStatus {
				return sandbox.ExitStatus{Code: 4}
			}),
		},
		{
			name: "runtime hangs at Invoke", status: "Sandbox.Timedout", message: timedOut,
			runtime: given(func(ctx context.Context, p *environmenttest.Program, _ string) sandbox.ExitStatus {
				return hangs(ctx, p)
			}),
		},
		{
			name: "runtime answers and exits", log: "exit status 5",
			runtime: given(func(ctx context.Context, p *environmenttest.Program, id string) sandbox.ExitStatus {
				p.Respond(ctx, id, "1")
				return sandbox.ExitStatus{Code: 5}
			}),
		},
		{
			name: "runtime answers twice",
			runtime: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				for {
					id, event, ok := p.Next(ctx)
					if !ok {
						return sandbox.ExitStatus{}
					}
					p.Respond(ctx, id, event)
					p.Respond(ctx, id, "2")
					p.Fail(ctx, "/invocation/"+id+"/error", "Late", "{}")
				}
			},
		},
		{
			name: "runtime answers and hangs", log: timedOut,
			runtime: given(func(ctx context.Context, p *environmenttest.Program, id string) sandbox.ExitStatus {
				p.Respond(ctx, id, "1")
				return hangs(ctx, p)
			}),
		},
		{
			name: "runtime answers what nobody asked", status: "Sandbox.Timedout", message: timedOut,
			runtime: given(func(ctx context.Context, p *environmenttest.Program, _ string) sandbox.ExitStatus {
				p.Respond(ctx, "another", "1")
				return hangs(ctx, p)
			}),
		},
		{
			name: "runtime floods the log",
			runtime: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				for {
					id, event, ok := p.Next(ctx)
					if !ok {
						return sandbox.ExitStatus{}
					}
					for range 100 {
						p.Printf("%s\n", strings.Repeat("flood ", 1000))
					}
					p.Respond(ctx, id, event)
				}
			},
		},
		{name: "extension exits at Init", extension: exits(3), log: "exit status 3\nExtension.Crash"},
		{name: "extension leaves at Init", extension: registered(exits(0)), log: "exit code 0\nExtension.Crash"},
		{name: "extension hangs at Init", extension: hangs, log: "Phase: init\tStatus: timeout"},
		{name: "extension hangs registered", extension: registered(hangs), log: "Phase: init\tStatus: timeout"},
		{name: "extension exits at Init twice", extension: exits(3), generations: 2, status: "Extension.Crash", message: "Error: exit status 3"},
		{
			name: "extension reports at Init twice", extension: registered(fails("/init/error", "Fatal.Config")), generations: 2,
			status: "Extension.InitError", message: "Error: exit status 1", log: "State: InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Fatal.Config",
		},
		{
			name: "extension exits at Invoke", status: "Extension.Crash", message: "Error: exit status 6", extension: afterNext(exits(6)),
			runtime: given(func(ctx context.Context, p *environmenttest.Program, _ string) sandbox.ExitStatus {
				return hangs(ctx, p)
			}),
		},
		{
			name: "extension reports at Invoke", status: "Extension.ExitError", message: "Error: exit status 1",
			extension: afterNext(fails("/exit/error", "Fatal.Lost")),
			runtime: given(func(ctx context.Context, p *environmenttest.Program, _ string) sandbox.ExitStatus {
				return hangs(ctx, p)
			}),
		},
		{name: "extension hangs at Invoke", extension: afterNext(hangs), log: timedOut},
		{
			name: "extension floods the log",
			extension: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				for range 100 {
					p.Printf("%s\n", strings.Repeat("flood ", 1000))
				}
				return works(ctx, p)
			},
		},
	}
}

// TestFaults has every fault meet an environment with one extension: the caller gets AWS's error, and the next event
// finds an environment that works, in the same sandbox.
func TestFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			generations := max(f.generations, 1)
			either := func(bad, good environmenttest.Main) environmenttest.Main {
				return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
					if bad != nil && p.Start <= generations {
						return bad(ctx, p)
					}
					return good(ctx, p)
				}
			}
			driver := &environmenttest.Driver{
				Run:        either(f.runtime, environmenttest.Echo),
				Extensions: map[string]environmenttest.Main{"extension": either(f.extension, works)},
			}
			seconds, initLimit := 30, 30*time.Second
			if f.limited() {
				seconds, initLimit = 1, 500*time.Millisecond
			}
			env, log := startDriver(t, driver, func(v *function.Version) { v.TimeoutSeconds = seconds })
			env.initLimit = initLimit
			outcome := finish(t, env, "r1")
			if outcome.ErrorType != f.status || !strings.Contains(string(outcome.Payload), f.message) || (outcome.FunctionError == "") != (f.status == "") {
				t.Errorf("%s %s %s", outcome.FunctionError, outcome.ErrorType, outcome.Payload)
			}
			if f.status == "" && string(outcome.Payload) != "1" {
				t.Errorf("answer %s", outcome.Payload)
			}
			if !strings.Contains(log.Text(), f.log) {
				t.Errorf("log:\n%s\nwant in it:\n%s", log.Text(), f.log)
			}
			for _, id := range []string{"r2", "r3"} {
				if next := finish(t, env, id); string(next.Payload) != "1" || next.FunctionError != "" {
					t.Errorf("the next event: %s %s\nlog:\n%s", next.ErrorType, next.Payload, log.Text())
				}
			}
			if len(driver.Sandboxes()) != 1 {
				t.Errorf("%d sandboxes", len(driver.Sandboxes()))
			}
		})
	}
}

// An extension that cannot be started, and too many of them, are AWS's Extension.LaunchError.
func TestExtensionLaunchError(t *testing.T) {
	for what, count := range map[string]int{"not executable": 1, "too many": 11} {
		driver := &environmenttest.Driver{Run: environmenttest.Echo, Extensions: map[string]environmenttest.Main{}}
		for i := range count {
			driver.Extensions[strings.Repeat("x", i+1)] = works
		}
		if count == 1 {
			driver.Extensions["x"] = nil
		}
		env, log := startDriver(t, driver, func(v *function.Version) { v.TimeoutSeconds = 1 })
		outcome := finish(t, env, "r1")
		want := "Error: fork/exec /opt/extensions/x: permission denied"
		if count > 1 {
			want = "Error: Extension limit (10) reached"
		}
		if outcome.ErrorType != "Extension.LaunchError" || !strings.Contains(string(outcome.Payload), want) {
			t.Errorf("%s: %s %s", what, outcome.ErrorType, outcome.Payload)
		}
		if log.Count("State: LaunchError") != 2 {
			t.Errorf("%s: log:\n%s", what, log.Text())
		}
	}
}
