package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"hotaru/code/tree"
	"hotaru/runtime"
	"hotaru/runtimeapi/extensions"
	"hotaru/runtimeapi/telemetry"
	"hotaru/sandbox"
)

// extensionsDir is where external extensions are, inside.
const extensionsDir = runtime.LayerRoot + "/extensions"

// runtimeOnly are the variables that extensions do not get
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-extensions-registration-api-e).
var runtimeOnly = []string{
	"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
	"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS",
	"_AWS_XRAY_DAEMON_PORT", "_HANDLER",
}

// externalExtensions are the names of the files in /opt/extensions, sorted, as the host sees them. Symbolic links are
// not followed out of what is bound there.
func externalExtensions(root sandbox.Root, binds []sandbox.Bind) ([]string, error) {
	dir, sub := root.Dir, strings.TrimPrefix(extensionsDir, "/")
	for _, bind := range slices.Concat(root.Binds, binds) { // the last one is what is seen
		switch bind.Target {
		case runtime.LayerRoot:
			dir, sub = bind.Source, path.Base(extensionsDir)
		case extensionsDir:
			dir, sub = bind.Source, "."
		}
	}
	if dir == "" {
		return nil, nil
	}
	inside, opened, err := tree.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("environment: extensions: %w", err)
	}
	defer opened.Close()
	entries, err := fs.ReadDir(inside, sub)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("environment: extensions: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// startExtensions starts the external extensions, all at once, and waits until each has registered.
func (e *Environment) startExtensions(ctx context.Context) *failure {
	names, err := externalExtensions(e.cfg.Program.Root, slices.Concat(e.blank.Binds, e.cfg.Binds))
	if err != nil {
		return platformFailure(err)
	}
	if len(names) == 0 {
		return nil
	}
	g := e.present()
	if g == nil {
		return platformFailure(errGone)
	}
	stdout, err := e.out.forExtensions()
	if err != nil {
		return platformFailure(fmt.Errorf("environment: log pipe: %w", err))
	}
	env := extensionVariables(e.variables)
	for _, name := range names {
		if err := g.registry.Expect(name); err != nil {
			return extensionFailure(err)
		}
		file := path.Join(extensionsDir, name)
		p, err := e.sandbox.Start(ctx, sandbox.Command{
			Path: file, Args: []string{file}, Env: env, Dir: "/", Stdout: stdout, Stderr: stdout,
		})
		switch {
		case errors.Is(err, sandbox.ErrNotFound):
			kind := "UnknownError"
			if errors.Is(err, syscall.EACCES) {
				kind = "PermissionDenied"
			}
			g.registry.LaunchFailed(name, kind, "fork/exec "+file+": "+reasonOf(err))
			return extensionFailure(g.registry.Failure())
		case err != nil && ctx.Err() != nil:
			return lateFailure()
		case err != nil:
			return platformFailure(fmt.Errorf("environment: start extension: %w", err))
		}
		g.mu.Lock()
		g.processes[name] = p
		g.mu.Unlock()
		g.watching.Go(func() { e.watchExtension(g, name, p) })
	}
	return e.awaitExtensions(ctx, g.registry.AwaitRegistered)
}

// reasonOf is the system's word for why a program could not be started.
func reasonOf(err error) string {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// extensionVariables are those of the environment that extensions get.
func extensionVariables(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(runtimeOnly, name)
	})
}

// watchExtension waits for the end of an extension's process. Outside of Shutdown that breaks the environment, and with
// it the runtime's conversation.
func (e *Environment) watchExtension(g *generation, name string, p sandbox.Process) {
	<-p.Done()
	status := p.Status()
	if status.OOMKilled {
		e.awaitRuntimeEnd() // all are killed then, and the runtime's end is what is told
	}
	g.registry.Exited(name, extensionExit(status), status == sandbox.ExitStatus{})
	if g.registry.Failure() != nil {
		if session, _ := e.conversation(); session != nil {
			_ = session.Close() // its owner learns why from the registry
		}
	}
}

// awaitRuntimeEnd waits a moment for the runtime process to be seen ending.
func (e *Environment) awaitRuntimeEnd() {
	if _, process := e.conversation(); process != nil {
		timer := time.NewTimer(exitGrace)
		defer timer.Stop()
		select {
		case <-process.Done():
		case <-timer.C:
		}
	}
}

// extensionExit says how a process ended, in AWS's words.
func extensionExit(s sandbox.ExitStatus) string {
	switch {
	case s.Signal != 0:
		return "signal: " + s.Signal.String()
	case s.Code != 0:
		return fmt.Sprintf("exit status %d", s.Code)
	default:
		return "exit code 0"
	}
}

// hasExtensions says whether Shutdown has anybody to wait for.
func (e *Environment) hasExtensions() bool {
	g := e.present()
	return g != nil && !g.registry.Empty()
}

// awaitExtensions waits for what the registry waits for.
func (e *Environment) awaitExtensions(ctx context.Context, await func(context.Context) error) *failure {
	err := await(ctx)
	switch {
	case err == nil:
		return nil
	case e.is(closed):
		return platformFailure(errGone)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return lateFailure()
	default:
		return extensionFailure(err)
	}
}

// extensionFailure is an extension that takes the environment with it.
func extensionFailure(err error) *failure {
	var failed *extensions.Failure
	if errors.As(err, &failed) {
		return &failure{kind: failed.Type, message: failed.Message}
	}
	return platformFailure(err)
}

// sayExtensions tells what became of each extension in Init.
func (e *Environment) sayExtensions(g *generation) {
	for _, x := range g.registry.Infos() {
		events := make([]string, len(x.Events))
		for i, event := range x.Events {
			events[i] = string(event)
		}
		line := fmt.Appendf(nil, "EXTENSION\tName: %s\tState: %s\tEvents: [%s]", x.Name, x.State, strings.Join(events, ", "))
		if x.ErrorType != "" {
			line = fmt.Appendf(line, "\tError Type: %s", x.ErrorType)
		}
		e.sayNow(append(line, '\n'), telemetry.Extension{Events: events, Name: x.Name, State: x.State, ErrorType: x.ErrorType})
	}
}
